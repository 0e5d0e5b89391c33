"""A burst: thousands of events ask for the same customer at once, whom nobody knows."""

from typing import Any, Final

from benchmarks import directory, scans
from benchmarks.figures import Bar, bars, figure
from benchmarks.live import live_posstream
from benchmarks.posstream_worker import PATIENT, Posstream, configure
from benchmarks.progress import say
from benchmarks.setting import Setting
from benchmarks.stage import stage

EVENTS: Final = 5_000
LATENCY_MS: Final = 200


def measure(setting: Setting) -> dict[str, Any]:
    """A burst for each round.

    Returns:
        Events, what the directory takes, and by round the seconds and the calls.
    """
    seconds, calls = [], []
    with (
        stage(setting.folder / "burst", embedded=setting.embedded) as on,
        directory.running() as asked,
    ):
        posstream = Posstream(on)
        posstream.prepare(0)
        with live_posstream(posstream) as (live, worker):
            configure(worker, api_endpoint=asked.endpoint(LATENCY_MS), **PATIENT)
            live.asked_cold(1)
            for number in range(1, setting.rounds + 1):
                tag = on.next_number()
                who = scans.cold(tag, 0)
                seconds.append(live.asked([who] * EVENTS, tag=tag).seconds)
                calls.append(asked.calls(who))
                say(
                    f"round {number} of {setting.rounds}: {EVENTS} events in "
                    f"{seconds[-1]:.2f} s, {calls[-1]} call(s)"
                )
        broker = on.broker
    return {
        "broker": broker,
        "events": EVENTS,
        "latency_ms": LATENCY_MS,
        "seconds": seconds,
        "calls": calls,
    }


def section(found: dict[str, Any]) -> str:
    """How long, and how many calls."""
    seconds, calls = found["seconds"], [float(it) for it in found["calls"]]
    return (
        f"{found['events']:,} events ask for the same customer, whom nobody knows, at once; the "
        f"directory takes {found['latency_ms']} ms. All are answered {figure(seconds, 2)} s after "
        "the first one was written." + bars([Bar("calls of the directory", 1, calls, at_most=True)])
    )
