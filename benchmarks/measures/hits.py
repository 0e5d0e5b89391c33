"""Hits a second: everybody answers from what it has."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks import charts
from benchmarks.contestants import BY_NAME, PEERS, Contestant
from benchmarks.figures import (
    Bar,
    bars,
    chart,
    cpu_us,
    figure,
    mebibytes,
    rates,
    ratios,
    table,
    windows,
)
from benchmarks.loads import Load
from benchmarks.posstream_worker import ENVIRONS, POSSTREAM, Posstream
from benchmarks.races import run_peer, run_posstream, told
from benchmarks.runs import Run
from benchmarks.setting import Setting
from benchmarks.stage import stage
from benchmarks.windows import spread

#: What posstream should be, of the fastest framework and of others.
_OF_FASTEST_PEER: Final = 2.2
_BARS: Final = {"plain_aiokafka": 2, "batch_aiokafka": 0.85, "naive_faust": 20}


def measure(setting: Setting) -> dict[str, Any]:
    """Runs of each contestant, in turns.

    Returns:
        The broker, how many events and customers there were, and the runs by contestant.
    """
    names = setting.contestants or (*ENVIRONS, *(it.name for it in PEERS))
    peers = [it for it in PEERS if it.name in names]
    runs: dict[str, list[Run]] = {name: [] for name in names}
    load = Load(setting.customers)
    with stage(setting.folder / "hits", embedded=setting.embedded) as on:
        ours = {
            name: Posstream(on, environ=environ)
            for name, environ in ENVIRONS.items()
            if name in names
        }
        for posstream in ours.values():
            posstream.prepare(setting.customers)
        for number in range(1, setting.rounds + 1):
            text = f"round {number} of {setting.rounds}"
            for name, posstream in ours.items():
                runs[name].append(run_posstream(posstream, load, setting.events))
                told(text, name, runs[name][-1])
            for it in peers:
                runs[it.name].append(run_peer(on, it, load, events_of(setting, it)))
                told(text, it.title, runs[it.name][-1])
        broker = on.broker
    return {
        "broker": broker,
        "events": setting.events,
        "customers": setting.customers,
        "runs": {name: [asdict(it) for it in made] for name, made in runs.items()},
    }


def events_of(setting: Setting, contestant: Contestant) -> int:
    """How many events a contestant gets."""
    return max(1_000, round(setting.events * contestant.share))


def section(found: dict[str, Any]) -> str:
    """The table of contestants, fastest first, and the bars."""
    runs = found["runs"]
    fastest = sorted(runs, key=lambda name: -spread(rates(runs[name])).middle)
    rows = [
        [
            _title(name),
            figure(rates(runs[name])),
            figure(cpu_us(runs[name]), 1),
            figure([it.broker_cpu_us for it in windows(runs[name])], 1),
            figure(mebibytes(runs[name])),
            f"{sum(run['duplicates'] for run in runs[name]):,}",
        ]
        for name in fastest
    ]
    head = ["", "events/s", "CPU, us an event", "broker's, us", "memory, MiB", "answered twice"]
    notes = "\n".join(f"- {it.title}: {it.note}." for it in PEERS if it.name in runs and it.note)
    return (
        f"{found['customers']:,} customers; {found['events']:,} events for posstream, fewer for "
        "who is slower.\n\n"
        + table(head, rows)
        + bars(_bars(runs))
        + chart("hits", "Hits a second by contestant")
        + (f"\n\n{notes}" if notes else "")
    )


def draw(found: dict[str, Any], folder: Path) -> None:
    """Everybody's rate."""
    values = {_title(name): rates(runs) for name, runs in found["runs"].items()}
    charts.bar_chart(folder / "hits.svg", "hits a second", values, ours=POSSTREAM)


def _bars(runs: dict[str, Any]) -> list[Bar]:
    return [bar for name in ENVIRONS if name in runs for bar in _bars_of(name, runs)]


def _bars_of(ours: str, runs: dict[str, Any]) -> list[Bar]:
    def bar(name: str, asked: float) -> Bar:
        title = f"{ours} / {_title(name)}"
        return Bar(title, asked, ratios(rates(runs[ours]), rates(runs[name])))

    frameworks = [it.name for it in PEERS if it.is_framework and it.name in runs]
    found = []
    if frameworks:
        best = max(frameworks, key=lambda name: spread(rates(runs[name])).middle)
        found.append(bar(best, _OF_FASTEST_PEER))
    return found + [bar(name, asked) for name, asked in _BARS.items() if name in runs]


def _title(name: str) -> str:
    return BY_NAME[name].title if name in BY_NAME else name
