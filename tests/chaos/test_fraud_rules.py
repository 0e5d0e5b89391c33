"""Rules of fraud detection that are edited while events flow."""

import asyncio
import time
from collections import defaultdict
from typing import Any

import msgspec
import orjson
import pytest

from agents.fraud_detection import topics
from agents.fraud_detection.rules.compiled import version_of
from agents.fraud_detection.rules.rule import Rule
from posstream.domain.times import iso_utc_ms, parse_utc, to_ms
from tests.chaos.checks import Publish
from tests.chaos.fraud_play import UNBOUNDED, configure, until_judged
from tests.chaos.ledger import Count
from tests.chaos.stage import Stage, Till

TILLS = 4
PER_SECOND = 20
WINDOW_SECONDS = 5
#: When, and which event.
Item = tuple[int, str]


def rule(rule_id: str, limit: int, **more: Any) -> Rule:
    """An alert for each item at which there are so many at a till."""
    made = {
        "id": rule_id,
        "name": rule_id,
        "severity": "LOW",
        "on": ["ITEM_ADDED"],
        "group_by": ["terminal_id"],
        "function": "COUNT",
        "operator": ">=",
        "limit": limit,
        "window_seconds": WINDOW_SECONDS,
    }
    return msgspec.convert(made | more, Rule)


BEFORE, AFTER, STAYS = rule("edited", 3), rule("edited", 6), rule("stays", 5)
#: It reads what nobody recorded before.
NEW = rule("new", 2, where=[{"field": "quantity", "operator": ">=", "value": 1}])


async def keeps_adding(till: Till, items: dict[str, list[Item]]) -> None:
    """Items come at every till, until cancelled. A till has one basket: their order stays."""
    number = 0
    while True:
        terminal = f"till-{number % TILLS}"
        at_ms = int(time.time() * 1000)
        value = {
            "event_type": "ITEM_ADDED",
            "event_id": f"item-{number}",
            "occurred_at": iso_utc_ms(at_ms),
            "basket_id": f"basket-{terminal}",
            "terminal_id": terminal,
            "employee_id": "7",
            "product_id": "p",
            "unit_price": "1.00",
            "quantity": "1",
        }
        key = value["basket_id"].encode()
        await till.client.producer.send_and_wait("pos-events", orjson.dumps(value), key=key)
        items[terminal].append((at_ms, value["event_id"]))
        number += 1
        await asyncio.sleep(1 / PER_SECOND)


def hits(of: Rule, items: list[Item]) -> list[tuple[str, int]]:
    """The items at which a rule holds, and its value there."""
    found = []
    for at_ms, event_id in items:
        window = [it for it, _ in items if at_ms - WINDOW_SECONDS * 1000 < it <= at_ms]
        if len(window) >= int(of.limit):
            found.append((event_id, len(window)))
    return found


def alerts(till: Till) -> dict[tuple[str, str], dict[str, dict[str, Any]]]:
    """By version of a rule and till: each alert once, by its event."""
    found: dict[tuple[str, str], dict[str, dict[str, Any]]] = defaultdict(dict)
    for it in till.client.seen.of(topics.FRAUD_ALERT_RAISED):
        found[it["rule_version"], it["terminal_id"]][it["triggered_by"]] = it
    return found


def said(found: dict[str, dict[str, Any]]) -> list[tuple[str, int]]:
    return [(event_id, int(it["value"])) for event_id, it in found.items()]


def is_split(
    items: list[Item], before: list[tuple[str, int]], after: list[tuple[str, int]]
) -> bool:
    """Whether one version of the edited rule judged all items up to one, and the other the rest."""
    ids = [event_id for _, event_id in items]
    return any(
        sorted(before) == sorted(it for it in hits(BEFORE, items) if it[0] in ids[:at])
        and sorted(after) == sorted(it for it in hits(AFTER, items) if it[0] in ids[at:])
        for at in range(len(ids) + 1)
    )


def known_whole(alert: dict[str, Any]) -> int:
    """Since when the window of an alert is known whole, in ms; 0 if it is."""
    moment = parse_utc(alert["complete_from"])
    return 0 if moment is None else to_ms(moment)


@pytest.mark.short
async def test_rules_are_edited_while_events_flow(stage: Stage, publish: Publish) -> None:
    """One rule gets another limit, one is new, one stays: each version's alerts are exact."""
    (worker,) = await stage.started()
    await configure(worker, rules=msgspec.to_builtins([BEFORE, STAYS]), **UNBOUNDED)
    items: dict[str, list[Item]] = defaultdict(list)
    async with stage.till(topics.FRAUD_ALERT_RAISED) as till:

        async def raised(version: str) -> None:
            await till.client.read_until(
                lambda _: sum(it == version for it, _ in alerts(till)) == TILLS
            )

        adding = asyncio.ensure_future(keeps_adding(till, items))
        await raised(version_of(BEFORE))
        await configure(worker, rules=msgspec.to_builtins([STAYS, AFTER, NEW]))
        await raised(version_of(AFTER))
        await raised(version_of(NEW))
        await till.client.read_for(2 * WINDOW_SECONDS)
        adding.cancel()
        await until_judged(stage.cluster.servers)
        await till.client.read_for(1)
        found = alerts(till)
    wrong, number = [], 0
    for terminal, those in items.items():
        before, after, stays, new = (
            found[version_of(it), terminal] for it in (BEFORE, AFTER, STAYS, NEW)
        )
        number += sum(map(len, (before, after, stays, new)))
        if not is_split(those, said(before), said(after)):
            wrong.append((terminal, "edited"))
        if sorted(said(stays)) != sorted(hits(STAYS, those)):
            wrong.append((terminal, "stays"))
        since_ms = max(map(known_whole, new.values()))
        whole = {event_id for at_ms, event_id in those if at_ms - WINDOW_SECONDS * 1000 >= since_ms}
        told = {event_id: it for event_id, it in new.items() if it["complete_from"] is None}
        if since_ms == 0 or sorted(said(told)) != sorted(
            it for it in hits(NEW, those) if it[0] in whole
        ):
            wrong.append((terminal, "new"))
    sent = sum(map(len, items.values()))
    publish(
        Count(
            sent=sent,
            answered=number,
            lost=0,
            duplicated=0,
            late=0,
            failed=0,
            wrong=len(wrong),
            extra_calls=0,
            sql_missing=0,
        ),
        f"{number} alerts of 4 versions of rules",
    )
    assert wrong == []
