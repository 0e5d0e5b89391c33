"""Growth: what a hit costs with more customers and partitions, and misses with more places."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks import charts, directory
from benchmarks.figures import Bar, bars, chart, cpu_us, figure, mebibytes, rates, ratios, table
from benchmarks.live import live_posstream
from benchmarks.loads import Load
from benchmarks.posstream_worker import ALONE, ENVIRONS, PATIENT, POSSTREAM, Posstream, configure
from benchmarks.progress import say
from benchmarks.races import run_posstream, told
from benchmarks.runs import Run
from benchmarks.setting import Setting
from benchmarks.stage import stage
from posstream.settings import PARTITIONS

KEYS: Final = (1_000, 10_000, 100_000, 1_000_000)
#: CPU of a hit with the most customers, of that with the fewest.
_BARS: Final = {"keys": 1.3, "zipf": 1.1}
#: The fewest and the most, if customers come by Zipf's law.
_ZIPF: Final = (KEYS[0], KEYS[-1])
PARTITION_COUNTS: Final = (1, 8, 64)
IN_FLIGHT: Final = (1, 10, 100, 1_000)
#: What the directory takes.
LATENCY_MS: Final = 200
#: Of the events of a run of hits; there are many runs.
_SHARE: Final = 0.4
#: How long a run of misses lasts at Little's limit, and what posstream cannot do anyway.
_SECONDS: Final = 4
_MOST_MISSES: Final = 6_000
#: Events without an answer, for each place.
_WAITING: Final = 6


def measure(setting: Setting) -> dict[str, Any]:
    """Each size on a broker of its own, all of them there at once, in turns.

    Returns:
        Runs by keys and by partitions, and misses a second by places.
    """
    keys = [_Size(it, PARTITIONS, it) for it in KEYS if it <= setting.most_keys]
    partitions = [_Size(it, it, setting.customers) for it in PARTITION_COUNTS]
    return {
        "keys": _hits(setting, "keys", keys),
        "started": _hits(setting, "started", keys[-1:], filled=False),
        "zipf": _hits(setting, "zipf", [it for it in keys if it.number in _ZIPF]),
        "partitions": _hits(setting, "partitions", partitions),
        "latency_ms": LATENCY_MS,
        "misses": _misses(setting),
    }


@dataclass(frozen=True, slots=True)
class _Size:
    number: int
    partitions: int
    customers: int


def _hits(
    setting: Setting, what: str, sizes: Sequence[_Size], *, filled: bool = True
) -> dict[str, list[dict[str, Any]]]:
    """Runs by size, of workers that have the cache in memory, or that have just started."""
    runs: dict[int, list[Run]] = {size.number: [] for size in sizes}
    with ExitStack() as afterwards:
        ready: list[tuple[int, Posstream, Load]] = []
        for size in sizes:
            folder = setting.folder / f"growth-{what}-{size.number}"
            on = afterwards.enter_context(stage(folder, embedded=setting.embedded))
            posstream = Posstream(on, partitions=size.partitions, environ=ENVIRONS[ALONE])
            posstream.prepare(size.customers)
            posstream.project_customers()
            load = Load(size.customers, by_zipf=what == "zipf")
            ready.append((size.number, posstream, load))
        for number in range(1, setting.rounds + 1):
            for size_number, posstream, load in ready:
                events = round(setting.events * _SHARE)
                run = run_posstream(posstream, load, events, filled=filled)
                told(f"round {number} of {setting.rounds}", f"{size_number:,} {what}", run)
                runs[size_number].append(run)
    return {str(number): [asdict(it) for it in made] for number, made in runs.items()}


def _misses(setting: Setting) -> dict[str, list[float]]:
    rates: dict[int, list[float]] = {places: [] for places in IN_FLIGHT}
    with (
        stage(setting.folder / "growth-misses", embedded=setting.embedded) as on,
        directory.running() as asked,
    ):
        posstream = Posstream(on)
        posstream.prepare(0)
        with live_posstream(posstream) as (live, worker):
            configure(worker, api_endpoint=asked.endpoint(LATENCY_MS), **PATIENT)
            for number in range(1, setting.rounds + 1):
                for places in IN_FLIGHT:
                    configure(worker, max_concurrent_lookups=places)
                    limit = places * 1_000 / LATENCY_MS
                    count = min(_MOST_MISSES, round(_SECONDS * limit))
                    found = live.asked_cold(count, at_once=_WAITING * places)
                    rates[places].append(found.window.rate)
                    share = found.window.rate / limit
                    say(
                        f"round {number} of {setting.rounds}: {places:5} in flight "
                        f"{found.window.rate:7,.0f}/s, {share:4.0%} of the limit"
                    )
    return {str(places): made for places, made in rates.items()}


def section(found: dict[str, Any]) -> str:
    """Three tables: by keys, by partitions, by places."""
    keys, zipf = found["keys"], found["zipf"]
    partitions, misses = found["partitions"], found["misses"]
    limits = {text: int(text) * 1_000 / found["latency_ms"] for text in misses}
    by_places = [
        [f"{int(text):,}", f"{limits[text]:,.0f}/s", f"{figure(rates)}/s", figure(shares, 2)]
        for text, rates in misses.items()
        for shares in [[rate / limits[text] for rate in rates]]
    ]
    return (
        "Hits with more customers in the cache and in the read model, asked for in random order, "
        "once a worker has its cache in memory. "
        "The other plugins are left out: this is about the cache and the rows.\n\n"
        + _table("customers", keys)
        + "\n\nHits of a worker that has just started. It reads most customers from RocksDB:\n\n"
        + _table("customers", found.get("started", {}))
        + "\n\nWith the cache in memory and customers who come by Zipf's law (exponent 1), "
        "as in a shop:\n\n"
        + _table("customers", zipf)
        + bars([*_bars("in random order", keys, "keys"), *_bars("by Zipf's law", zipf, "zipf")])
        + chart("growth-keys", "CPU time of a hit by customers in the cache")
        + "\n\nHits with more partitions:\n\n"
        + _table("partitions", partitions)
        + chart("growth-partitions", "Hits a second by partitions")
        + f"\n\nMisses at {found['latency_ms']} ms with more calls in flight:\n\n"
        + table(["in flight", "Little's limit", "misses", "share"], by_places)
        + chart("growth-misses", "Misses a second by calls in flight")
    )


def draw(found: dict[str, Any], folder: Path) -> None:
    """A chart for each."""
    keys, partitions, misses = found["keys"], found["partitions"], found["misses"]
    charts.line_chart(
        folder / "growth-keys.svg",
        ("customers in the cache", "CPU, us an event"),
        [int(text) for text in keys],
        {POSSTREAM: [cpu_us(runs) for runs in keys.values()]},
    )
    charts.line_chart(
        folder / "growth-partitions.svg",
        ("partitions", "hits a second"),
        [int(text) for text in partitions],
        {POSSTREAM: [rates(runs) for runs in partitions.values()]},
    )
    limits = [[int(text) * 1_000 / found["latency_ms"]] for text in misses]
    charts.line_chart(
        folder / "growth-misses.svg",
        ("calls in flight", "misses a second"),
        [int(text) for text in misses],
        {"Little's limit": limits, POSSTREAM: list(misses.values())},
        logarithms="xy",
        dashed=["Little's limit"],
    )


def _table(what: str, runs: dict[str, Any]) -> str:
    rows = [
        [
            f"{int(text):,}",
            figure(rates(made)),
            figure(cpu_us(made), 1),
            figure(mebibytes(made)),
        ]
        for text, made in runs.items()
    ]
    return table([what, "events/s", "CPU, us an event", "memory, MiB"], rows)


def _bars(how: str, keys: dict[str, Any], name: str) -> list[Bar]:
    few, many = str(KEYS[0]), str(KEYS[-1])
    if many not in keys:
        return []
    more = ratios(cpu_us(keys[many]), cpu_us(keys[few]))
    title = f"CPU of a hit {how}, {KEYS[-1]:,} / {KEYS[0]:,} customers"
    return [Bar(title, _BARS[name], more, at_most=True)]
