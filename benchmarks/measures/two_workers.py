"""One worker and two on the same topic: what a second one adds."""

import os
from dataclasses import asdict
from typing import Any, Final

from benchmarks.figures import Bar, bars, figure, mebibytes, rates, ratios, table
from benchmarks.loads import Load
from benchmarks.posstream_worker import Posstream
from benchmarks.races import run_posstream, told
from benchmarks.runs import Run
from benchmarks.setting import Setting
from benchmarks.stage import stage

COUNTS: Final = (1, 2)
_BAR: Final = 1.8
#: With fewer the bar means nothing.
_CORES: Final = 4


def measure(setting: Setting) -> dict[str, Any]:
    """Runs with one and with two, in turns.

    Returns:
        The broker, the cores of the machine, and the runs by the number of workers.
    """
    runs: dict[int, list[Run]] = {count: [] for count in COUNTS}
    load = Load(setting.customers)
    with stage(setting.folder / "two_workers", embedded=setting.embedded) as on:
        posstream = Posstream(on)
        posstream.prepare(setting.customers)
        # The second one's data directory, and the places that both get when they are there.
        with posstream.started(max(COUNTS)):
            pass
        for number in range(1, setting.rounds + 1):
            for count in COUNTS:
                runs[count].append(run_posstream(posstream, load, setting.events, workers=count))
                told(f"round {number} of {setting.rounds}", f"{count} worker(s)", runs[count][-1])
        broker = on.broker
    return {
        "broker": broker,
        "cores": os.cpu_count(),
        "runs": {str(count): [asdict(it) for it in made] for count, made in runs.items()},
    }


def section(found: dict[str, Any]) -> str:
    """Both, and the bar."""
    runs = found["runs"]
    rows = [[count, figure(rates(made)), figure(mebibytes(made))] for count, made in runs.items()]
    measured = ratios(rates(runs["2"]), rates(runs["1"]))
    text = table(["workers", "events/s", "memory, MiB"], rows)
    text += bars([Bar("two workers / one", _BAR, measured)])
    if found["cores"] < _CORES:
        text += (
            f"\n\nThe bar needs a core for each worker, one for the broker and one for the load; "
            f"here are {found['cores']} in all."
        )
    return text
