"""A worst-case hour on a manual clock: entries expire, clocks jump, events come again."""

import asyncio
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agents.customer_lookup.reasons import Reason
from posstream.domain.customer import Customer
from posstream.resilience.clock import Clock
from tests.component.test_customer_lookup_agent import Bench, scan
from tests.examples import most

FRESH, STALE, NEGATIVE = 300, 1200, 30
START_NS = 1_800_000_000_000_000_000


class Time:
    """True time, and a wall clock that somebody sets."""

    def __init__(self) -> None:
        self.true_ns = 0
        self.offset_ns = START_NS

    def advance(self, seconds: float) -> None:
        self.true_ns += round(seconds * 1e9)

    def set_the_clock(self, seconds: float) -> None:
        self.offset_ns += round(seconds * 1e9)

    @property
    def true_ms(self) -> int:
        return self.true_ns // 1_000_000

    def clock(self) -> Clock:
        return Clock(
            wall_ns=lambda: self.true_ns + self.offset_ns, monotonic_ns=lambda: self.true_ns
        )


identifiers = st.sampled_from(["+1", "+2"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("scan"), identifiers),
        st.tuples(st.just("replay"), st.integers(0, 50)),
        st.tuples(st.just("advance"), st.sampled_from([1, 31, 100, 250, 301, 700])),
        st.tuples(st.just("set the clock"), st.sampled_from([-7200, -600, -190, -40, 40, 7200])),
        st.tuples(st.just("directory"), st.sampled_from(["up", "down", "knows nobody"])),
    ),
    min_size=25,
    max_size=60,
)


async def play(hour: list[tuple[str, Any]]) -> None:
    time = Time()
    bench = Bench(
        clock=time.clock(),
        cache_ttl_seconds=FRESH,
        stale_ttl_seconds=STALE,
        negative_ttl_seconds=NEGATIVE,
        retry_attempts=1,
    )
    mode = "up"

    def outcome(identifier: str) -> tuple[Customer | None, Reason | None]:
        if mode == "up":  # the points say when it was fetched, in true time
            return Customer(f"C-{identifier}", loyalty_points=time.true_ms), None
        return None, Reason.API_ERROR if mode == "down" else Reason.NOT_FOUND

    bench.directory.outcome = outcome
    sent: list[bytes] = []
    for what, value in hour:
        if what == "advance":
            time.advance(value)
        elif what == "set the clock":
            time.set_the_clock(value)
        elif what == "directory":
            mode = value
        elif what == "scan" or sent:
            event = (
                sent[value % len(sent)]
                if what == "replay"
                else scan(value, event_id=str(len(sent)))
            )
            sent.append(event)
            known = len(bench.answers())
            await bench.send(event)
            await bench.until(lambda: bench.acked == list(range(len(sent))))
            await bench.lookup.drain()
            (answer,) = bench.answers()[known:]
            judge(answer, time, mode)
    by_id = Counter(answer["lookup_id"] for answer in bench.answers())
    assert sum(by_id.values()) == len(sent), "none missing, none double"
    assert len(by_id) == len(set(sent)), "a replay has the ids of the first delivery"
    assert not bench.app.crashed


def judge(answer: dict[str, Any], time: Time, mode: str) -> None:
    if "customer" not in answer:
        assert answer["reason"] in {"NOT_FOUND", "API_ERROR", "CIRCUIT_OPEN"}
        assert not (mode == "up" and answer["reason"] == "API_ERROR")
        return
    true_age_ms = time.true_ms - answer["customer"]["loyalty_points"]
    limit = {"API": 0, "CACHE": FRESH, "STALE_CACHE": STALE}[answer["source"]]
    assert 0 <= true_age_ms <= limit * 1000
    assert answer["age_ms"] >= true_age_ms - 1, "an age is never made younger"


@settings(max_examples=most(100), deadline=None)
@given(steps)
def test_nothing_too_old_is_served_nothing_is_missing_and_nothing_is_double(
    hour: list[tuple[str, Any]],
) -> None:
    asyncio.run(play(hour))
