"""Misses: every event asks for somebody new, and the directory takes its time."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from benchmarks import directory
from benchmarks.contestants import BY_NAME
from benchmarks.figures import Bar, bars, figure, table
from benchmarks.live import live_peer, live_posstream
from benchmarks.posstream_worker import PATIENT, POSSTREAM, Posstream, configure
from benchmarks.progress import say
from benchmarks.setting import Setting
from benchmarks.stage import Stage, stage

#: Calls at a time.
IN_FLIGHT: Final = 100
LATENCIES_MS: Final = (50, 200, 1_000)
#: What the directory takes for the peers.
PEERS_MS: Final = 200
#: Of Little's limit, at these latencies.
_BAR: Final = 0.9
_BARS_MS: Final = (50, 200)
COLD: Final = 400
PEERS: Final = ("quix", "quix_tuned", "faststream", "plain_aiokafka", "naive_faust", "seed_design")
#: How long a run of posstream lasts at Little's limit, at least; and the fewest events: answers
#: come in waves, and the window begins and ends in the midst of one.
_SECONDS: Final = 4
_FEWEST: Final = 10 * IN_FLIGHT
#: Events without an answer: enough that all places are taken, and fewer than posstream queues.
_WAITING: Final = 6 * IN_FLIGHT


def measure(setting: Setting) -> dict[str, Any]:
    """Posstream at each latency, in turns; then everybody with some cold keys.

    Returns:
        The calls at a time; by latency the misses a second, and the CPU time of one on the worker
        and its projection; by contestant how long they took.
    """
    rates: dict[str, list[float]] = {str(it): [] for it in LATENCIES_MS}
    cpu_us: dict[str, list[float]] = {str(it): [] for it in LATENCIES_MS}
    took: dict[str, list[float]] = {POSSTREAM: []}
    with (
        stage(setting.folder / "misses", embedded=setting.embedded) as on,
        directory.running() as asked,
    ):
        posstream = Posstream(on)
        posstream.prepare(0)
        with live_posstream(posstream) as (live, worker):
            configure(worker, max_concurrent_lookups=IN_FLIGHT, **PATIENT)
            for number in range(1, setting.rounds + 1):
                for latency in LATENCIES_MS:
                    configure(worker, api_endpoint=asked.endpoint(latency))
                    count = max(_FEWEST, round(_SECONDS * IN_FLIGHT * 1_000 / latency))
                    found = live.asked_cold(count, at_once=_WAITING)
                    rate = found.window.rate
                    rates[str(latency)].append(rate)
                    cpu_us[str(latency)].append(found.window.cpu_us)
                    say(
                        f"round {number} of {setting.rounds}: {latency:5} ms {rate:7,.0f}/s "
                        f"{rate / (IN_FLIGHT * 1_000 / latency):5.0%} of Little's limit"
                    )
                configure(worker, api_endpoint=asked.endpoint(PEERS_MS))
                took[POSSTREAM].append(live.asked_cold(COLD).seconds)
        took |= _peers(on, asked.endpoint(PEERS_MS))
        broker = on.broker
    return {
        "broker": broker,
        "in_flight": IN_FLIGHT,
        "rates": rates,
        "cpu_us": cpu_us,
        "cold": COLD,
        "took": took,
    }


def _peers(on: Stage, api: str) -> dict[str, list[float]]:
    """Each peer once, and all of them at a time: they wait for the directory, not for a core."""

    def took(name: str) -> float:
        with live_peer(on, BY_NAME[name], api=api) as live:
            seconds = live.asked_cold(COLD).seconds
            say(f"{BY_NAME[name].title:40} {COLD} cold keys in {seconds:5.1f} s")
            return seconds

    with ThreadPoolExecutor(len(PEERS)) as beside:
        return {
            name: [seconds] for name, seconds in zip(PEERS, beside.map(took, PEERS), strict=True)
        }


def section(found: dict[str, Any]) -> str:
    """The share of Little's limit by latency, and how long everybody takes for some cold keys."""
    limits = {text: found["in_flight"] * 1_000 / int(text) for text in found["rates"]}
    shares = {
        text: [rate / limits[text] for rate in rates] for text, rates in found["rates"].items()
    }
    rows = [
        [
            f"{text} ms",
            f"{limits[text]:,.0f}/s",
            f"{figure(rates)}/s",
            figure(shares[text], 2),
            figure(found["cpu_us"][text]),
        ]
        for text, rates in found["rates"].items()
    ]
    took = sorted(found["took"].items(), key=lambda named: min(named[1]))
    others = [
        [
            BY_NAME[name].title if name in BY_NAME else name,
            figure(seconds, 1),
            figure([found["cold"] / it for it in seconds]),
        ]
        for name, seconds in took
    ]
    them = [Bar(f"share of the limit at {it} ms", _BAR, shares[str(it)]) for it in _BARS_MS]
    return (
        table(["latency", "Little's limit", "misses", "share", "CPU, us a miss"], rows)
        + bars(them)
        + f"\n\nEverybody, with {found['cold']} cold keys at {PEERS_MS} ms:\n\n"
        + table(["", "seconds until all are answered", "misses/s"], others)
        + "\n\nWhoever waits for one call after the other needs 80 s; these were measured once, "
        "all at the same time."
    )
