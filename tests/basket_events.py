"""Events of one basket, for tests: made one by one, or by hypothesis."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from agents.baskets.till_events import (
    AnyEvent,
    DiscountApplied,
    Finalized,
    Identified,
    ItemAdded,
    ItemRemoved,
    NotIdentified,
    PaymentCompleted,
    PaymentRefunded,
    PriceOverridden,
    QuantityChanged,
    Started,
    Voided,
)
from posstream.domain.money import ONE

IDS = st.sampled_from(["i1", "i2", "i3"])
PRODUCTS = st.sampled_from(["p1", "p2"])
PRICES = st.sampled_from([-2_500, 0, 3_333, 19_900, 50_000])
AMOUNTS = st.sampled_from([0, 5_000, 20_000, 100_000])
QUANTITIES = st.sampled_from([5_000, 5_320, ONE, 2 * ONE, 3 * ONE])
CURRENCIES = st.sampled_from([None, "EUR", "CHF"])


def kinds() -> st.SearchStrategy[tuple[type[Any], tuple[Any, ...]]]:
    """What happens: a type, and what it has besides time, id and till."""

    def of(kind: type[Any], *fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.tuples(st.just(kind), st.tuples(*fields))

    nobody = st.none()
    return st.one_of(
        of(ItemAdded, IDS, PRODUCTS, PRICES, QUANTITIES),
        of(ItemAdded, IDS, PRODUCTS, PRICES, QUANTITIES),
        of(ItemRemoved, IDS, PRODUCTS, nobody | QUANTITIES),
        of(ItemRemoved, nobody, PRODUCTS, nobody | QUANTITIES),
        of(QuantityChanged, IDS, QUANTITIES | st.just(0)),
        of(PriceOverridden, IDS, PRICES),
        of(DiscountApplied, AMOUNTS, nobody | IDS),
        of(Finalized),
        of(Voided),
        of(PaymentCompleted, st.sampled_from(["pay1", "pay2"]), AMOUNTS, CURRENCIES),
        of(PaymentRefunded, st.sampled_from(["ref1", "ref2"]), AMOUNTS),
        of(Started, st.just("7"), st.just("t9"), nobody | st.just("+49")),
        of(Identified, st.sampled_from(["+1", "+2"]), st.sampled_from(["C1", "C2"])),
        of(NotIdentified, st.just("+3"), st.just("NOT_FOUND")),
    )


def event(kind: type[Any], fields: Sequence[Any], at: int, event_id: str) -> AnyEvent:
    head: tuple[Any, ...] = (at, event_id, at + 1)
    if kind not in {Started, Identified, NotIdentified}:
        head = (*head, f"e{at % 3}" if at % 2 else None, "t1")
    made: AnyEvent = kind(*head, *fields)
    return made


@st.composite
def events(draw: st.DrawFn, *, most: int = 14) -> list[AnyEvent]:
    """Different events of a basket; some at one time."""
    drawn = draw(st.lists(st.tuples(kinds(), st.integers(0, 9)), max_size=most))
    names = draw(st.permutations([f"ev{number:02}" for number in range(len(drawn))]))
    return [
        event(kind, fields, at, name)
        for ((kind, fields), at), name in zip(drawn, names, strict=True)
    ]
