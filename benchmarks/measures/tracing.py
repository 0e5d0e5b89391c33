"""What traces cost: events with and without a collector."""

from dataclasses import asdict
from typing import Any, Final

from benchmarks import collector, directory
from benchmarks.figures import Bar, bars, cpu_us, figure, ratios, table
from benchmarks.loads import Load
from benchmarks.posstream_worker import PATIENT, Posstream, configure
from benchmarks.races import run_posstream, told
from benchmarks.runs import Run
from benchmarks.setting import Setting
from benchmarks.stage import stage

#: One event in a hundred is recorded: the default.
OFF, ON = "off", "on"
#: By the load: the share of the events of a run, and every how many of them is a miss.
_LOADS: Final = {"hits": (1.0, 0), "misses": (0.05, 1)}
#: What the directory takes.
_LATENCY_MS: Final = 10
#: CPU time with traces, of that without.
_BAR: Final = 1.03


def measure(setting: Setting) -> dict[str, Any]:
    """The same worker without a collector and with one, in turns.

    Returns:
        The broker, the bytes of spans that came, and the runs by load and by `off` and `on`.
    """
    runs: dict[str, dict[str, list[Run]]] = {name: {OFF: [], ON: []} for name in _LOADS}
    with (
        stage(setting.folder / "tracing", embedded=setting.embedded) as on,
        collector.running() as takes,
        directory.running() as asked,
    ):
        both = {
            OFF: Posstream(on),
            ON: Posstream(on, environ={"OTEL_EXPORTER_OTLP_ENDPOINT": takes.url}),
        }
        for posstream in both.values():
            posstream.prepare(setting.customers)
        with both[OFF].started() as (worker,):
            configure(worker, api_endpoint=asked.endpoint(_LATENCY_MS), **PATIENT)
        for number in range(1, setting.rounds + 1):
            for name, (share, cold) in _LOADS.items():
                load = Load(setting.customers, one_cold_in=cold)
                events = max(1_000, round(setting.events * share))
                for state in (OFF, ON) if number % 2 else (ON, OFF):
                    run = run_posstream(both[state], load, events)
                    runs[name][state].append(run)
                    told(f"round {number} of {setting.rounds}", f"{name}, traces {state}", run)
        broker, taken = on.broker, takes.taken
    return {
        "broker": broker,
        "taken": taken,
        "runs": {
            name: {state: [asdict(it) for it in made] for state, made in by_state.items()}
            for name, by_state in runs.items()
        },
    }


def section(found: dict[str, Any]) -> str:
    """CPU time by load, and the bars."""
    rows, them = [], []
    for name, runs in found["runs"].items():
        off, on = cpu_us(runs[OFF]), cpu_us(runs[ON])
        rows.append([name, figure(off, 1), figure(on, 1)])
        them.append(Bar(f"{name}: with / without", _BAR, ratios(on, off), at_most=True))
    head = ["", "CPU without traces, us an event", "with"]
    return (
        table(head, rows)
        + bars(them)
        + f"\n\n{found['taken'] / 1024:,.0f} KiB of spans came to the collector."
    )
