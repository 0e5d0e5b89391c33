"""Latency under an open load: from the moment an event is due until a client sees its answer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from agents.customer_lookup import topics
from benchmarks import charts
from benchmarks.contestants import BY_NAME
from benchmarks.figures import Bar, bars, chart, figure, ratios, table
from benchmarks.loads import Load
from benchmarks.observer import Seen, observing
from benchmarks.pacing import pace
from benchmarks.posstream_worker import POSSTREAM, Posstream
from benchmarks.progress import say
from benchmarks.races import run_posstream, told
from benchmarks.runs import Peer
from benchmarks.setting import Setting
from benchmarks.stage import Stage, stage
from benchmarks.windows import spread
from posstream.settings import PARTITIONS

FLOOR: Final = "no_worker"
PLAIN: Final = "plain_aiokafka"
#: Events a second at which tills are busy, in a large shop.
CALM: Final = 200
#: Shares of what posstream can do, as measured in the same run.
SHARES: Final = (0.1, 0.5, 0.8)
_HALF: Final = 0.5
#: Of each load.
_SECONDS: Final = 10
#: Before the first of them: whoever just started is slow for a moment.
_WARM: Final = 2_000
#: Behind by more than that at the end, it does not keep up.
BEHIND_MS: Final = 1_000
#: Milliseconds by which an answer at CALM may be later than without a worker.
_ABOVE_MS: Final = {"p50": 5, "p99": 15}
_TITLES: Final = {FLOOR: "no worker", PLAIN: "plain aiokafka loop", POSSTREAM: "posstream"}


def measure(setting: Setting) -> dict[str, Any]:
    """Each rate for each contestant, in turns.

    Returns:
        The capacity in events a second, the rates, and what was seen by contestant and rate.
    """
    with stage(setting.folder / "latency", embedded=setting.embedded) as on:
        posstream = Posstream(on)
        posstream.prepare(setting.customers)
        run = run_posstream(posstream, Load(setting.customers), setting.events)
        told("capacity", POSSTREAM, run)
        capacity = run.window.rate
        rates = [CALM, *(round(capacity * share) for share in SHARES)]
        contestants: dict[str, Callable[[], Any]] = {
            FLOOR: lambda: _nobody(on),
            PLAIN: lambda: _plain(on, setting.customers),
            POSSTREAM: lambda: _posstream(posstream),
        }
        seen: dict[str, list[list[dict[str, Any]]]] = {
            name: [[] for _ in rates] for name in contestants
        }
        for number in range(1, setting.rounds + 1):
            for name, started in contestants.items():
                with started() as (source, answers):
                    _load(on, source, answers, _WARM, setting.customers, seconds=1)
                    for at, rate in enumerate(rates):
                        found = _load(on, source, answers, rate, setting.customers)
                        seen[name][at].append(asdict(found))
                        say(
                            f"round {number} of {setting.rounds}: {name:16} {rate:7,}/s "
                            f"p50 {found.p50_ms:7.1f} p99 {found.p99_ms:7.1f} ms"
                            + (" falls behind" if found.behind_ms > BEHIND_MS else "")
                        )
        broker = on.broker
    return {"broker": broker, "capacity": capacity, "rates": rates, "seen": seen}


def _load(  # noqa: PLR0913 - a load is all of this
    on: Stage, source: str, answers: str, rate: float, customers: int, *, seconds: float = _SECONDS
) -> Seen:
    tag = f"{on.next_number():08x}"
    count = round(rate * seconds)
    with observing(on, answers, tag=tag, count=count) as observer:
        pace(on, source, rate=rate, count=count, tag=tag, customers=customers)
        return observer.seen()


@contextmanager
def _nobody(on: Stage) -> Iterator[tuple[str, str]]:
    """The client reads the events themselves: what the broker and the clients take."""
    topic = on.new_topic("paced", PARTITIONS)
    yield topic, topic
    on.delete(topic)


@contextmanager
def _plain(on: Stage, customers: int) -> Iterator[tuple[str, str]]:
    source, answers = on.new_topic("paced", PARTITIONS), on.new_topic("answers", PARTITIONS)
    peer = Peer(on, BY_NAME[PLAIN], source=source, answers=answers, customers=customers)
    with peer.started():
        yield source, answers
    on.delete(source, answers)


@contextmanager
def _posstream(posstream: Posstream) -> Iterator[tuple[str, str]]:
    posstream.rewind()
    with posstream.started():
        yield topics.CUSTOMER_IDENTIFIED, topics.CUSTOMER_DATA_FETCHED


def section(found: dict[str, Any]) -> str:
    """Percentiles by rate and contestant, and the bars."""
    rows = []
    for at, rate in enumerate(found["rates"]):
        for name, title in _TITLES.items():
            seen = found["seen"][name][at]
            behind = sum(it["behind_ms"] > BEHIND_MS for it in seen)
            rows.append(
                [
                    f"{rate:,}/s",
                    title,
                    figure([it["p50_ms"] for it in seen], 1),
                    figure([it["p99_ms"] for it in seen], 1),
                    f"falls behind in {behind} of {len(seen)}" if behind else "",
                ]
            )
    capacity = f"posstream's capacity in this run: {found['capacity']:,.0f} hits a second."
    return (
        f"{capacity}\n\n"
        + table(["rate", "", "p50, ms", "p99, ms", ""], rows)
        + bars(_bars(found["seen"]))
        + chart("latency", "Latency by rate")
    )


def draw(found: dict[str, Any], folder: Path) -> None:
    """The 99th percentile by rate."""
    lines = {
        title: [[it["p99_ms"] for it in seen] for seen in found["seen"][name]]
        for name, title in _TITLES.items()
    }
    charts.line_chart(
        folder / "latency.svg",
        ("events a second", "p99, ms"),
        found["rates"],
        lines,
        logarithms="xy",
        dashed=[_TITLES[FLOOR]],
    )


def _bars(seen: dict[str, Any]) -> list[Bar]:
    def of(name: str, at: int, percentile: str) -> list[float]:
        return [it[percentile] for it in seen[name][at]]

    def behind(name: str, at: int) -> bool:
        return spread(of(name, at, "behind_ms")).middle > BEHIND_MS

    half = 1 + SHARES.index(_HALF)

    def above(percentile: str) -> list[float]:
        both = zip(of(POSSTREAM, 0, percentile), of(FLOOR, 0, percentile), strict=True)
        return [ours - floor for ours, floor in both]

    slower = ratios(of(POSSTREAM, half, "p99_ms"), of(PLAIN, half, "p99_ms"))
    void = ""
    if behind(POSSTREAM, half):
        void = "**missed**: posstream falls behind"
    elif behind(PLAIN, half):
        void = "no comparison: the plain loop falls behind"
    return [
        *(
            Bar(
                f"{name} at {CALM}/s, above no worker",
                most_ms,
                above(f"{name}_ms"),
                at_most=True,
                unit=" ms",
            )
            for name, most_ms in _ABOVE_MS.items()
        ),
        Bar("p99 at half capacity, posstream / plain loop", 3, slower, at_most=True, void=void),
    ]
