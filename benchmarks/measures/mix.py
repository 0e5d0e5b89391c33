"""Hits with some misses among them: what one slow call does to everybody else."""

from dataclasses import asdict
from typing import Any, Final

from benchmarks import directory
from benchmarks.contestants import BY_NAME
from benchmarks.figures import Bar, bars, figure, mebibytes, rates, ratios, table
from benchmarks.loads import Load
from benchmarks.posstream_worker import PATIENT, POSSTREAM, Posstream, configure
from benchmarks.races import run_peer, run_posstream, told
from benchmarks.runs import Run
from benchmarks.setting import Setting
from benchmarks.stage import stage

#: What the directory takes.
LATENCY_MS: Final = 200
#: Every so many events ask for somebody new.
MIXES: Final = (100, 10)
#: Fewer than in `hits`: Quix Streams has to be told of each of them, in every run.
_CUSTOMERS: Final = 1_000
PEERS: Final = ("quix", "quix_tuned", "faststream")
#: Calls at a time: so many that nothing is refused, whatever is fetched at once.
_IN_FLIGHT: Final = 1_000
_BAR: Final = 25
#: Of the events of a run: whoever waits for each call gets a few seconds of them.
_SHARES: Final = {
    (POSSTREAM, 100): 0.5,
    (POSSTREAM, 10): 0.1,
    ("quix", 100): 0.005,
    ("quix", 10): 0.001,
    ("quix_tuned", 100): 0.005,
    ("quix_tuned", 10): 0.001,
    ("faststream", 100): 0.025,
    ("faststream", 10): 0.01,
}


def measure(setting: Setting) -> dict[str, Any]:
    """Runs of each contestant with each mix, in turns.

    Returns:
        The broker, and the runs by mix and contestant.
    """
    runs: dict[int, dict[str, list[Run]]] = {
        mix: {name: [] for name in (POSSTREAM, *PEERS)} for mix in MIXES
    }
    with (
        stage(setting.folder / "mix", embedded=setting.embedded) as on,
        directory.running() as asked,
    ):
        api = asked.endpoint(LATENCY_MS)
        posstream = Posstream(on)
        posstream.prepare(_CUSTOMERS)
        with posstream.started() as (worker,):
            configure(worker, api_endpoint=api, max_concurrent_lookups=_IN_FLIGHT, **PATIENT)
        for number in range(1, setting.rounds + 1):
            for mix in MIXES:
                load = Load(_CUSTOMERS, one_cold_in=mix)
                text = f"round {number} of {setting.rounds}, 1 cold in {mix}"
                for name, made in runs[mix].items():
                    events = max(200, round(setting.events * _SHARES[name, mix]))
                    if name == POSSTREAM:
                        run = run_posstream(posstream, load, events)
                    else:
                        run = run_peer(on, BY_NAME[name], load, events, api=api)
                    told(text, name, run)
                    made.append(run)
        broker = on.broker
    return {
        "broker": broker,
        "latency_ms": LATENCY_MS,
        "runs": {
            str(mix): {name: [asdict(it) for it in made] for name, made in by_name.items()}
            for mix, by_name in runs.items()
        },
    }


def section(found: dict[str, Any]) -> str:
    """Rates by mix, and the bars."""
    rows, asked = [], []
    for mix, runs in found["runs"].items():
        rows += [
            [
                f"1 in {mix}",
                BY_NAME[name].title if name in BY_NAME else name,
                figure(rates(made)),
                figure(mebibytes(made)),
            ]
            for name, made in runs.items()
        ]
        ours = rates(runs[POSSTREAM])
        quix = [
            max(both) for both in zip(rates(runs["quix"]), rates(runs["quix_tuned"]), strict=True)
        ]
        asked.append(
            Bar(f"1 in {mix}: posstream / the faster Quix Streams", _BAR, ratios(ours, quix))
        )
    return (
        table(["cold", "", "events/s", "memory, MiB"], rows)
        + bars(asked)
        + f"\n\nposstream may have {_IN_FLIGHT:,} calls in flight here, FastStream has 50 "
        "handlers, and Quix Streams one."
    )
