"""What judging an event costs by observations in the window: our engine, and a scan of the key.

Both have one group whose window is full, and get events in order, so that each one pushes another
one out. CPU time of this process, without Kafka; the engine's changes are put into a dict.
"""

import gc
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from agents.fraud_detection.engine.judging import Group
from agents.fraud_detection.engine.observation import Observation
from agents.fraud_detection.rules.plan import GroupingPlan, plan_of
from agents.fraud_detection.rules.rule import Rule

IN_WINDOW: Final = (10, 1_000, 100_000)
_PAID: Final = "PAYMENT_COMPLETED"
WINDOW_MS: Final = 3_600_000
#: Functions that are measured, with what each needs. No limit is reached: an alert costs more.
FUNCTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "COUNT": {},
    "SUM": {"field": "amount"},
    "COUNT_DISTINCT": {"field": "terminal_id"},
}
#: How late an event may be; none is.
_LATENESS_MS: Final = 60_000
_TILLS: Final = 20
_START_MS: Final = 1_700_000_000_000


@dataclass(frozen=True, slots=True)
class Cost:
    """What one event took."""

    cpu_us: float
    #: Written to the table, and so to its changelog.
    written_bytes: float = 0.0


def rule(function: str) -> Rule:
    """A rule of a function over an hour, by employee."""
    made: dict[str, Any] = {
        "id": function.lower(),
        "name": function,
        "severity": "LOW",
        "on": [_PAID],
        "group_by": ["employee_id"],
        "function": function,
        "operator": ">=",
        "limit": 10**11,
        "window_seconds": WINDOW_MS // 1000,
    }
    return msgspec.convert(made | dict(FUNCTIONS[function]), Rule)


def observations(first: int, end: int, in_window: int) -> list[Observation]:
    """Payments at even steps, so that a window has so many of them."""
    return [
        Observation(
            f"payment-{number:08x}",
            1,
            at_ms := _START_MS + number * WINDOW_MS // in_window,
            at_ms,
            _PAID,
            {
                "amount": number % 1_000 * 10_000,
                "terminal_id": f"till-{number % _TILLS}",
                "employee_id": "7",
                "basket_id": f"basket-{number:08x}",
            },
        )
        for number in range(first, end)
    ]


class Engine:
    """A group as posstream keeps it."""

    def __init__(self, function: str) -> None:
        (plan,) = plan_of([rule(function)]).groupings
        self._plan: GroupingPlan = plan
        self._table: dict[int | None, bytes] = {}
        self._group = Group(read=self._table.get)
        self.written_bytes = 0

    def take(self, it: Observation) -> None:
        """Judge an event and keep what changed."""
        self._group.judge(it, self._plan, _LATENESS_MS)
        for put in self._group.take_puts():
            if put.value is None:
                self._table.pop(put.segment, None)
            else:
                self._table[put.segment] = put.value
                self.written_bytes += len(put.value)

    @property
    def value(self) -> int:
        """The value of the rule at the newest event, in ten-thousandths."""
        (watch,) = self._group._watches.values()
        return watch._window.measure(self._group._newest)[0]


class Scan:
    """A key as Flink's demo of fraud detection keeps it: all events, scanned at each one.

    On the heap, so that nothing is decoded; in RocksDB Flink decodes each event of each scan.
    """

    def __init__(self, function: str) -> None:
        self._function = _SCANS[function]
        self._state: dict[int, list[Observation]] = {}
        self.value = 0
        self.written_bytes = 0

    def take(self, it: Observation) -> None:
        """Add an event, scan for the window, drop what is too old."""
        self._state.setdefault(it.at_ms, []).append(it)
        start_ms = it.at_ms - WINDOW_MS
        inside: list[Observation] = []
        gone: list[int] = []
        for at_ms, those in self._state.items():
            if at_ms > start_ms:
                inside += those
            else:
                gone.append(at_ms)
        self.value = self._function(inside)
        for at_ms in gone:
            del self._state[at_ms]

    def fill(self, them: Iterable[Observation]) -> None:
        """Know events, without a scan for each."""
        for it in them:
            self._state.setdefault(it.at_ms, []).append(it)


_SCANS: Final[Mapping[str, Callable[[list[Observation]], int]]] = {
    "COUNT": lambda them: len(them) * 10_000,
    "SUM": lambda them: sum(int(it.facts["amount"]) for it in them),
    "COUNT_DISTINCT": lambda them: len({it.facts["terminal_id"] for it in them}) * 10_000,
}


def of_engine(function: str, in_window: int, events: int) -> Cost:
    """What an event costs our engine."""
    engine = Engine(function)
    for it in observations(0, in_window, in_window):
        engine.take(it)
    return _cost(engine, observations(in_window, in_window + events, in_window))


def of_scan(function: str, in_window: int, events: int) -> Cost:
    """What an event costs whoever scans the key."""
    scan = Scan(function)
    scan.fill(observations(0, in_window, in_window))
    return _cost(scan, observations(in_window, in_window + events, in_window))


def _cost(who: Engine | Scan, them: list[Observation]) -> Cost:
    before = who.written_bytes
    gc.collect()
    gc.freeze()  # what is there already is not to be looked through again
    began = time.process_time()
    for it in them:
        who.take(it)
    seconds = time.process_time() - began
    gc.unfreeze()
    return Cost(seconds / len(them) * 1e6, (who.written_bytes - before) / len(them))
