"""What fraud detection must see of messages of tills: obvious, to compare others with."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from agents.fraud_detection.rules.rule import Rule
from posstream.domain.times import parse_utc, to_ms

IDS = {"basket_id", "terminal_id", "employee_id", "customer_id"}
SESSION_AGE = "employee.session_age_seconds"
OF_SESSION = {"EMPLOYEE_LOGGED_IN", "EMPLOYEE_LOGGED_OUT"}
#: What a lookup is here, by the topic of its answer.
ANSWERS = {
    "customer-data-fetched": "CUSTOMER_IDENTIFIED",
    "customer-lookup-failed": "CUSTOMER_LOOKUP_FAILED",
}


class Seen(NamedTuple):
    """An event as the rules of a grouping see it."""

    at_ms: int
    event_type: str
    facts: Mapping[str, Any]


class Grouping(NamedTuple):
    """What the rules of one grouping read."""

    names: tuple[str, ...]
    types: Collection[str]
    fields: Collection[str]


def groupings_of(rules: Iterable[Rule]) -> list[Grouping]:
    by_names: dict[tuple[str, ...], list[Rule]] = {}
    for rule in rules:
        by_names.setdefault(tuple(sorted(map(str, rule.group_by))), []).append(rule)
    made = []
    for names, those in by_names.items():
        conditions = [
            each
            for it in those
            for each in (*it.where, *(it.of or ()), *(it.first or ()), *(it.then or ()))
        ]
        fields = {it.field for it in those if it.field} | {it.field for it in conditions}
        types = {str(each) for it in those for each in it.on}
        types |= OF_SESSION if SESSION_AGE in fields else set()
        made.append(Grouping(names, types, (fields | IDS) - {"event_type", SESSION_AGE}))
    return made


def answer(topic: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of a lookup as an event of its basket."""
    said = {
        "event_type": ANSWERS[topic],
        "event_id": value["event_id"],
        "occurred_at": value["identified_at"],
        "basket_id": value["basket_id"],
        "customer_identifier": value["customer_identifier"],
    }
    if "customer" in value:
        return said | {"found": value["customer"]["customer_id"]}
    return said | {"reason": value["reason"]}


def observations(
    messages: Iterable[Mapping[str, Any]], groupings: Iterable[Grouping]
) -> Iterator[tuple[str, str, Seen]]:
    """Group, event and what is seen of it, for all messages of some baskets.

    Args:
        messages: lookups are told by their answers.
        groupings: those of the rules.
    """
    baskets: dict[str, dict[str, Mapping[str, Any]]] = {}
    for message in messages:
        baskets.setdefault(message["basket_id"], {})[message["event_id"]] = message
    for known in baskets.values():
        basket: dict[str, Any] = {}
        for it in sorted(known.values(), key=lambda it: (it["occurred_at"], it["event_id"])):
            facts = _facts(it, basket)
            seen_as = {it["event_type"]}
            if it["event_type"] == "CUSTOMER_LOOKUP_FAILED":
                seen_as.add("CUSTOMER_IDENTIFIED")
            for grouping in groupings:
                group = {name: facts[name] for name in grouping.names if name in facts}
                if len(group) == len(grouping.names) and seen_as & set(grouping.types):
                    read = {name: facts[name] for name in grouping.fields if name in facts}
                    key = json.dumps(group, separators=(",", ":"))
                    yield key, it["event_id"], Seen(_ms(it), it["event_type"], read)


def _facts(it: Mapping[str, Any], basket: dict[str, Any]) -> dict[str, Any]:
    """What can be read of an event; the basket is made as it is after the event."""
    said = {name: value for name, value in it.items() if name not in {"occurred_at", "found"}}
    for name in {"amount", "unit_price", "quantity"} & said.keys():
        said[name] = int(Decimal(said[name]) * 10_000)
    if it["event_type"] == "DRAWER_OPENED":  # it is of no basket
        del said["basket_id"]
        return said
    basket.setdefault("started_ms", _ms(it))
    for name in ("employee_id", "terminal_id"):
        if name in it:
            basket.setdefault(name, it[name])
    if "found" in it:
        basket["customer_id"] = basket["basket.customer_id"] = it["found"]
    age = (_ms(it) - basket["started_ms"]) * 10
    return basket | {"basket.age_seconds": age} | said


def _ms(it: Mapping[str, Any]) -> int:
    moment = parse_utc(it["occurred_at"])
    assert moment is not None
    return to_ms(moment)
