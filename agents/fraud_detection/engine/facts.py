"""Makes facts of a till event, and observations of facts. Pure."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Final, NamedTuple

from agents.fraud_detection.engine.observation import WITHDRAWN, Fact, Observation, types_of
from agents.fraud_detection.events.inputs import BasketContext, TillEvent
from agents.fraud_detection.rules.fields import NUMBERS
from agents.fraud_detection.rules.plan import GroupingPlan
from posstream.domain.errors import DeadLetterReason, UnreadableEvent
from posstream.domain.money import ONE, read_amount
from posstream.domain.times import parse_utc, to_ms

#: So far may a till's clock be ahead of the broker's.
MOST_AHEAD_MS: Final = 60_000
#: What a scan of a customer is called, whether somebody was found or not.
_SCANS: Final[Mapping[str, str]] = {"CUSTOMER_DATA_FETCHED": "CUSTOMER_IDENTIFIED"}
_MS_FACTOR: Final = ONE // 1000
#: A sum may have more digits than an amount; what is stored has 64 bits.
_MOST: Final = 2**63 - 1


class TillFacts(NamedTuple):
    """What is known at one till event."""

    event_id: str
    revision: int
    #: By the event's own time, unless that is too far ahead.
    at_ms: int
    written_ms: int
    event_type: str
    #: What is absent is left out.
    facts: Mapping[str, Fact]
    #: Facts that have changed since the event was told before, with their former values.
    moved_from: Mapping[str, Fact] = {}


def facts_of(event: TillEvent) -> TillFacts:
    """Everything that rules can read of an event.

    Raises:
        UnreadableEvent: if a time or an amount is none; the message names the field.
    """
    occurred, written = (_ms(name, getattr(event, name)) for name in ("occurred_at", "written_at"))
    replaced = occurred > written + MOST_AHEAD_MS
    at_ms = written if replaced else occurred
    event_type = _SCANS.get(event.event_type, event.event_type)
    facts: dict[str, Fact] = {
        name: _amount(name, value) if name in NUMBERS else value
        for name, value in event.fields.items()
    }
    facts.pop("customer_id", None)  # that of the basket counts
    if event.basket_id is not None:
        facts["basket_id"] = event.basket_id
    if event.basket is not None:
        facts |= _of_basket(event.basket, at_ms)
        for name in ("employee_id", "terminal_id"):
            if name not in facts and (value := getattr(event.basket, name)) is not None:
                facts[name] = value
    if replaced:
        facts["clock"] = "replaced"
    moved_from: Mapping[str, Fact] = {
        name: it
        for name, it in event.moved_from.items()
        if name == "customer_id" or name not in event.fields
    }
    return TillFacts(event.event_id, event.revision, at_ms, written, event_type, facts, moved_from)


def is_too_late(it: TillFacts, lateness_ms: int) -> bool:
    """Whether an event came too long after it happened to be judged."""
    return it.at_ms < it.written_ms - lateness_ms


def group_in(plan: GroupingPlan, it: TillFacts) -> Mapping[str, str] | None:
    """The group of an event; None if the grouping has no use for the event."""
    if plan.types.isdisjoint(types_of(it.event_type)):
        return None
    return _group(plan, it.facts)


def group_left(plan: GroupingPlan, it: TillFacts) -> Mapping[str, str] | None:
    """The group in which the event was before, if it is in another one now; None otherwise.

    Args:
        plan: of a grouping that has a use for the event (`Plan.using`).
        it: the event.
    """
    if not it.moved_from:  # most of the time
        return None
    left = _group(plan, {**it.facts, **it.moved_from})
    return None if left == _group(plan, it.facts) else left


def grouped(plan: GroupingPlan, it: TillFacts) -> Iterator[tuple[Mapping[str, str], Observation]]:
    """The groups to which one grouping gives an event, and what each of them records of it.

    Args:
        plan: of a grouping that has a use for the event (`Plan.using`).
        it: the event.
    """
    left = group_left(plan, it)
    if left is not None:
        yield left, withdrawal_of(it)
    group = group_in(plan, it)
    if group is not None:
        yield group, observation_for(plan, it)


def observation_for(plan: GroupingPlan, it: TillFacts) -> Observation:
    """An event as one grouping records it."""
    facts = {name: value for name, value in it.facts.items() if name in plan.facts}
    return Observation(
        it.event_id, it.revision, it.at_ms, it.written_ms, it.event_type, facts, plan.recorded
    )


def withdrawal_of(it: TillFacts) -> Observation:
    """The observation that tells a group that the event has moved to another group."""
    return Observation(it.event_id, it.revision, it.at_ms, it.written_ms, WITHDRAWN, {})


def _group(plan: GroupingPlan, facts: Mapping[str, Fact]) -> Mapping[str, str] | None:
    group = {name: str(facts[name]) for name in plan.grouping if name in facts}
    return group if len(group) == len(plan.grouping) else None


def _of_basket(basket: BasketContext, at_ms: int) -> dict[str, Fact]:
    facts: dict[str, Fact | None] = {
        "customer_id": basket.customer_id,
        "basket.total": _sum("basket.total", basket.total),
        "basket.paid": _sum("basket.paid", basket.paid),
        "basket.items": basket.items * ONE,
        "basket.age_seconds": (at_ms - _ms("basket.started_at", basket.started_at)) * _MS_FACTOR,
        "basket.status": basket.status,
        "basket.customer_id": basket.customer_id,
        "basket.customer_identifier": basket.customer_identifier,
        "basket.tier": basket.tier,
    }
    return {name: value for name, value in facts.items() if value is not None}


@lru_cache(maxsize=4096)  # a basket's start comes with each of its events
def _ms(name: str, text: str) -> int:
    moment = parse_utc(text)
    if moment is None:  # a text that is refused is not remembered: it may be anything
        raise UnreadableEvent(DeadLetterReason.INVALID_FIELD, f"{name} must be a time")
    return to_ms(moment)


def _amount(name: str, text: str) -> int:
    amount = read_amount(text)
    if amount is None:
        raise UnreadableEvent(DeadLetterReason.INVALID_FIELD, f"{name} must be a decimal")
    return amount


def _sum(name: str, text: str) -> int:
    amount = read_amount(text)
    if amount is not None:  # most sums are no larger than an amount
        return amount
    try:
        return max(-_MOST, min(int(Decimal(text) * ONE), _MOST))
    except (ArithmeticError, ValueError):
        raise UnreadableEvent(DeadLetterReason.INVALID_FIELD, f"{name} must be a decimal") from None
