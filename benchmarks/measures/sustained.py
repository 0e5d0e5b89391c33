"""The sustained rate: the highest at which answers and rows both keep up for minutes."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

from sqlalchemy import func, select

from agents.customer_lookup import topics
from agents.customer_lookup.read_model.schema import BASKETS
from benchmarks import processes
from benchmarks.databases import on_each_database
from benchmarks.figures import Bar, bars, table
from benchmarks.observer import Seen, observing
from benchmarks.pacing import pace
from benchmarks.posstream_worker import ALONE, ENVIRONS, POSSTREAM, Posstream
from benchmarks.progress import say
from benchmarks.setting import Setting
from benchmarks.stage import Stage, stage
from posstream.read_model.engine import create_engine, read_only
from tests.integration.harness import Worker

#: Events a second of the first try; each further try has more, until one fails.
_FIRST: Final = 4_000
_STEP: Final = 1.2
#: No lower rate is tried.
_LEAST: Final = 500
#: The rate that was found is held for a second for each so many events of the setting: 300,000
#: events make five minutes. A try takes a tenth of that.
_EVENTS_A_SECOND: Final = 1_000
_OF_HOLD: Final = 10
_LEAST_SECONDS: Final = 3
#: Answers and rows keep up if the last ones come so soon after the last event.
_BEHIND_SECONDS: Final = 2
#: A worker whose rows fall behind has this long to write them before the measure fails.
_PATIENCE_SECONDS: Final = 600
_LOOK_SECONDS: Final = 0.2
#: Events a second that are wanted with everything on the machine.
_BAR: Final = 15_000
#: The most that p99 may be. The goal is for 80 % of the rate; the full rate, which is harder, is
#: what is measured.
_P99_MS: Final = 100
#: By the name of what was found: with which plugins.
_WITH: Final = {"databases": POSSTREAM, "alone": ALONE}
_LAG: Final = ("posstream_projection_lag", {"plugin": "customer_lookup"})


@dataclass(frozen=True, slots=True)
class Held:
    """A rate that was kept up for some time, or was not."""

    rate: float
    seconds: float
    seen: Seen
    #: By how much the till itself was late, at most.
    till_late_ms: float
    #: When the last row was there, counted from the last answer.
    rows_behind_seconds: float
    #: Events that had no row yet, at most.
    most_lag: float
    #: Busy cores: of the worker's own process, of its children, and of the broker.
    cores: Mapping[str, float]

    @property
    def keeps_up(self) -> bool:
        """Whether all sides kept up."""
        return (
            max(self.till_late_ms, self.seen.behind_ms) <= _BEHIND_SECONDS * 1000
            and self.rows_behind_seconds <= _BEHIND_SECONDS
        )


@dataclass(frozen=True, slots=True)
class _System:
    """A worker at work, and its read model."""

    stage: Stage
    worker: Worker
    database_url: str
    customers: int


def measure(setting: Setting) -> dict[str, Any]:
    """For each database, tries with more and more events a second, then the best one held.

    Returns:
        The broker, and by database every try and what was held in the end, with all plugins and
        with the lookups alone.
    """
    hold = max(_LEAST_SECONDS, setting.events / _EVENTS_A_SECOND)
    with stage(setting.folder / "sustained", embedded=setting.embedded) as on:

        def search(environ: Mapping[str, str], _: str, url: str | None) -> Any:
            with _started(on, setting, url, environ) as system:
                return _search(system, hold)

        found = {
            name: on_each_database(partial(search, ENVIRONS[plugins]))
            for name, plugins in _WITH.items()
        }
        broker = on.broker
    return {"broker": broker, **found}


@contextmanager
def _started(
    on: Stage, setting: Setting, url: str | None, environ: Mapping[str, str]
) -> Iterator["_System"]:
    posstream = Posstream(on, database_url=url, environ=environ)
    posstream.prepare(setting.customers)
    posstream.rewind()
    with posstream.started() as (worker,):
        yield _System(on, worker, url or posstream.sqlite_url, setting.customers)


def _search(system: _System, hold: float) -> dict[str, Any]:
    _held(system, _FIRST, _LEAST_SECONDS)  # a worker is slow just after its start
    rate: float = _FIRST
    seconds = max(_LEAST_SECONDS, hold / _OF_HOLD)
    held = _held(system, rate, seconds)
    tries = [held]
    while held.keeps_up:
        rate *= _STEP
        held = _held(system, rate, seconds)
        tries.append(held)
    while (rate := rate / _STEP) >= _LEAST:
        held = _held(system, rate, hold)
        tries.append(held)
        if held.keeps_up:
            return {"tries": [asdict(it) for it in tries], "held": asdict(held)}
    raise RuntimeError(f"not even {_LEAST:,} events a second are kept up")


def _held(system: _System, rate: float, seconds: float) -> Held:
    on, worker = system.stage, system.worker
    tag, count = f"{on.next_number():08x}", round(rate * seconds)
    before, began = _cpu(on, worker), time.monotonic()
    with (
        observing(on, topics.CUSTOMER_DATA_FETCHED, tag=tag, count=count) as observer,
        ThreadPoolExecutor(1) as beside,
    ):
        lags = beside.submit(_lags, worker, seconds)
        late_ms = pace(
            on,
            topics.CUSTOMER_IDENTIFIED,
            rate=rate,
            count=count,
            tag=tag,
            customers=system.customers,
        )
        took = time.monotonic() - began
        used = {name: spent - before[name] for name, spent in _cpu(on, worker).items()}
        seen = observer.seen()
        answered_at = time.monotonic()
        if seen.count != count:
            raise RuntimeError(f"{count - seen.count} of {count} events have no answer")
        _wait_for_rows(system.database_url, tag, count)
        rows_behind_seconds = time.monotonic() - answered_at
        most_lag = max(lags.result())
    held = Held(
        rate=rate,
        seconds=seconds,
        seen=seen,
        till_late_ms=late_ms,
        rows_behind_seconds=rows_behind_seconds,
        most_lag=most_lag,
        cores={name: spent / took for name, spent in used.items()},
    )
    say(
        f"{rate:7,.0f}/s for {seconds:.0f} s: p50 {seen.p50_ms:.1f} p99 {seen.p99_ms:.1f} ms, "
        f"answers {seen.behind_ms / 1000:.1f} s and rows {held.rows_behind_seconds:.1f} s behind, "
        f"at most {most_lag:,.0f} events without a row"
        + ("" if held.keeps_up else ": does not keep up")
    )
    return held


def _lags(worker: Worker, seconds: float) -> Sequence[float]:
    async def look() -> Sequence[float]:
        found = [0.0]
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found.append(await worker.metric(_LAG[0], **_LAG[1]))
            await asyncio.sleep(1)
        return found

    return asyncio.run(look())


def _wait_for_rows(database_url: str, tag: str, count: int) -> None:
    async def wait() -> None:
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        engine = read_only(create_engine(database_url))
        # Not by LIKE, which would scan the baskets of every try.
        of_tag = BASKETS.c.basket_id.between(f"paced-{tag}-", f"paced-{tag}-~")
        counted = select(func.count()).where(of_tag)
        try:
            while True:
                async with engine.connect() as connection:
                    found = (await connection.execute(counted)).scalar_one()
                if found == count:
                    return
                if time.monotonic() > give_up_at:
                    raise RuntimeError(f"{count - found} of {count} events have no row")
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            await engine.dispose()

    asyncio.run(wait())


def _cpu(on: Stage, worker: Worker) -> Mapping[str, float]:
    """Seconds of CPU so far: of the worker, of its child processes, and of the broker."""
    assert worker._process is not None
    own, *children = processes.tree(worker._process.pid)
    return {
        "worker": processes.cpu_seconds([own]),
        "children": processes.cpu_seconds(children),
        "broker": processes.cpu_seconds(on.pids),
    }


def section(found: dict[str, Any]) -> str:
    """What was held, and what it took."""
    searches = found["databases"] | {
        f"{database}, lookups alone": it for database, it in found.get("alone", {}).items()
    }
    rows = []
    for database, it in searches.items():
        held = it["held"]
        rows.append(
            [
                database,
                f"{held['rate']:,.0f}",
                f"{held['seconds']:,.0f}",
                f"{held['seen']['p50_ms']:.1f}",
                f"{held['seen']['p99_ms']:.1f}",
                f"{held['rows_behind_seconds']:.1f}",
                f"{held['most_lag']:,.0f}",
                *(f"{held['cores'][name]:.2f}" for name in ("worker", "children", "broker")),
            ]
        )
    head = [
        "",
        "events/s",
        "for, s",
        "answers: p50, ms",
        "p99, ms",
        "last row after the last answer, s",
        "events without a row, at most",
        "worker, cores",
        "its children",
        "broker",
    ]
    wanted = []
    for database, it in searches.items():
        held = it["held"]
        p99 = [held["seen"]["p99_ms"]]
        wanted += [
            Bar(f"events a second on {database}", _BAR, [held["rate"]]),
            Bar(
                f"p99 of answers at this rate on {database}", _P99_MS, p99, at_most=True, unit=" ms"
            ),
        ]
    return table(head, rows) + bars(wanted)
