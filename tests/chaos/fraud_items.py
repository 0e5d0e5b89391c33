"""Items that come at tills while rules are edited, and what rules have to say of them."""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, NamedTuple

import msgspec
import orjson

from agents.fraud_detection import topics
from agents.fraud_detection.rules.compiled import version_of
from agents.fraud_detection.rules.rule import Rule
from posstream.domain.times import iso_utc_ms, parse_utc, to_ms
from tests.chaos.ledger import Count
from tests.chaos.stage import Till

WINDOW_SECONDS: Final = 5


class Item(NamedTuple):
    """One item that was added."""

    at_ms: int
    event_id: str
    terminal_id: str
    employee_id: str
    quantity: int


#: By event, an alert.
Told = Mapping[str, Mapping[str, Any]]


def rule(rule_id: str, limit: int = 1, **more: Any) -> Rule:
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


@dataclass(eq=False)
class Adding:
    """Adds items at some tills in turns.

    Args:
        till: sends them.
        tills: how many there are. Each has one employee and one basket: its items keep their order.
    """

    till: Till
    tills: int

    def __post_init__(self) -> None:
        self.items: list[Item] = []
        self._numbers = count()

    async def add(self, at_ms: int | None = None) -> None:
        """One item, now or at another time; the broker has it after that."""
        number = next(self._numbers)
        place = number % self.tills
        it = Item(
            int(time.time() * 1000) if at_ms is None else at_ms,
            f"item-{number}",
            f"till-{place}",
            f"employee-{place}",
            1 + number % 3,
        )
        basket_id = f"basket-{place}"
        value = {
            "event_type": "ITEM_ADDED",
            "event_id": it.event_id,
            "occurred_at": iso_utc_ms(it.at_ms),
            "basket_id": basket_id,
            "terminal_id": it.terminal_id,
            "employee_id": it.employee_id,
            "product_id": "p",
            "unit_price": "1.00",
            "quantity": str(it.quantity),
        }
        await self.till.client.producer.send_and_wait(
            "pos-events", orjson.dumps(value), key=basket_id.encode()
        )
        self.items.append(it)

    @contextlib.asynccontextmanager
    async def keeps_adding(self, per_second: int) -> AsyncIterator[None]:
        """Items come while the block runs; after it the broker has all of them."""
        is_over = asyncio.Event()

        async def add_on() -> None:
            while not is_over.is_set():
                await self.add()
                await asyncio.sleep(1 / per_second)

        task = asyncio.ensure_future(add_on())
        try:
            yield
        finally:
            is_over.set()
            await task

    def of(self, field: str) -> Mapping[str, Sequence[Item]]:
        """The items by till or by employee, in the order of their times."""
        found: dict[str, list[Item]] = defaultdict(list)
        for it in sorted(self.items):
            found[getattr(it, field)].append(it)
        return found


def values(of: Rule, items: Iterable[Item]) -> dict[str, int]:
    """The items of a group at which a rule holds, with its value there; `COUNT` or `SUM`."""
    found, window = {}, []
    for it in items:
        window = [each for each in window if each.at_ms > it.at_ms - of.window_seconds * 1000]
        window.append(it)
        value = sum(each.quantity for each in window) if of.function == "SUM" else len(window)
        if value >= int(of.limit):
            found[it.event_id] = value
    return found


def alerts(till: Till, of: Rule, field: str = "terminal_id") -> Mapping[str, Told]:
    """By group, each alert of a version of a rule once."""
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for it in till.client.seen.of(topics.FRAUD_ALERT_RAISED):
        if it["rule_version"] == version_of(of):
            found[it["group"][field]][it["triggered_by"]] = it
    return found


def value_of(alert: Mapping[str, Any]) -> int:
    """What the rule's function was."""
    return int(alert["value"])


def whole_from_ms(alert: Mapping[str, Any]) -> int:
    """Since when the window of an alert is known whole, in ms; 0 if it is."""
    moment = parse_utc(alert["complete_from"])
    return 0 if moment is None else to_ms(moment)


def of_new_rule(
    of: Rule, items: Sequence[Item], told: Told, since_ms: int
) -> tuple[list[str], list[str]]:
    """What alerts of a rule that was added say wrong of the items of a group.

    Args:
        of: the rule.
        items: all items of the group.
        told: its alerts.
        since_ms: the rule judges items from then on.

    Returns:
        The items without an alert, and those whose alert is wrong: a whole window has the exact
        value, and another one no more.
    """
    wanted = values(of, items)
    judged = [it.event_id for it in items if it.at_ms >= since_ms and it.event_id in wanted]
    wrong = [
        event_id
        for event_id, it in told.items()
        if event_id not in wanted
        or value_of(it) > wanted[event_id]
        or (not whole_from_ms(it) and value_of(it) != wanted[event_id])
    ]
    return [it for it in judged if it not in told], wrong


def counted(sent: int, told: int, lost: Sequence[object], wrong: Sequence[object]) -> Count:
    """The figures of a scenario: what was sent and told, and what of it should be otherwise."""
    return Count(
        sent=sent,
        answered=told,
        lost=len(lost),
        duplicated=0,
        late=0,
        failed=0,
        wrong=len(wrong),
        extra_calls=0,
        sql_missing=0,
    )
