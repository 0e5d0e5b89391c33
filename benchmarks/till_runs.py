"""One run of posstream over what tills say: counted in baskets, grouped, and judged by rules."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import orjson
from confluent_kafka import TopicPartition

from agents import baskets, customer_lookup, fraud_detection
from agents.baskets import topics as of_baskets
from agents.customer_lookup import topics as lookups
from agents.fraud_detection import topics as fraud
from benchmarks import processes, till_load
from benchmarks.observer import Seen, observing
from benchmarks.pacing import pace
from benchmarks.posstream_worker import Posstream, watched
from benchmarks.runs import Stalled, Watched
from benchmarks.stage import Stage, total
from benchmarks.windows import Sample, Window, window
from tests.till_day import Message

#: What happens to each event, one after the other: which group reads which topics.
STAGES: Final[Mapping[str, tuple[str, Sequence[str]]]] = {
    "answered": (customer_lookup.PLUGIN.consumer_group, (lookups.CUSTOMER_IDENTIFIED,)),
    "counted": (
        baskets.PLUGIN.consumer_group,
        (*till_load.TILLS, lookups.CUSTOMER_DATA_FETCHED),
    ),
    "grouped": (fraud_detection.PLUGIN.consumer_group, (fraud.TILL_EVENTS,)),
    "judged": (fraud_detection.PLUGIN.consumer_group, (fraud.GROUPED,)),
}
#: An event is done when it went through these; its lookup is another plugin's job.
_DONE: Final = ("counted", "grouped", "judged")
_LEFT_BEHIND: Final = (
    *till_load.TILLS,
    of_baskets.BASKET_COMPLETED,
    fraud.TILL_EVENTS,
    fraud.GROUPED,
    fraud.EPISODES,
    fraud.FRAUD_ALERT_RAISED,
)
#: No rule is to be paused by its budget: what is measured would not be done any more.
_UNBOUND: Final = {
    "most_alerts_per_hour": 1_000_000,
    "most_cpu_percent": 100,
    "most_observations_per_group": 1_000_000,
}
_HELD: Final = "posstream_fraud_rules_held"
_LOOK_SECONDS: Final = 0.2
_STALL_SECONDS: Final = 90
_CONFIGURE: Final = (
    "mutation ($config: JSONString) { updatePluginConfiguration("
    'name: "fraud_detection", config: $config) { success error { message } } }'
)


@dataclass(frozen=True, slots=True)
class Lookups:
    """Scans that come beside, whatever the tills do."""

    rate: float
    seconds: float
    customers: int


@dataclass(frozen=True, slots=True)
class TillRun:
    """What was measured of one run."""

    #: Of the events that went through all stages: the middle of the run, or while lookups came.
    window: Window
    rss_bytes: int
    #: What each stage did: events are told once more when a late one changes what they mean, and
    #: are grouped once for each grouping of the rules.
    counts: Mapping[str, int]
    alerts: int
    #: From the first event that was counted to the last one that was judged.
    seconds: float
    #: For how long a stage still worked after all events were counted.
    behind_seconds: Mapping[str, float]
    #: What another client saw of the lookups.
    seen: Seen | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """How far everything was at one moment."""

    seconds: float
    counts: Mapping[str, int]
    cpu_seconds: float = 0.0
    broker_cpu_seconds: float = 0.0


def prepare(posstream: Posstream, customers: int, **configuration: Any) -> None:
    """Make the topics, fill the cache, and configure fraud detection. No worker may run.

    Raises:
        RuntimeError: if the configuration is refused.
    """
    posstream.prepare(customers)
    config = orjson.dumps(_UNBOUND | configuration).decode()
    with posstream.started() as (worker,):
        answer = asyncio.run(worker.graphql(_CONFIGURE, config=config))
    if not answer["data"]["updatePluginConfiguration"]["success"]:
        raise RuntimeError(f"fraud detection cannot be configured: {answer}")


def rewind(posstream: Posstream) -> None:
    """Drop what earlier runs left. No worker may run."""
    posstream.rewind()
    posstream.stage.empty(*_LEFT_BEHIND)


def run(posstream: Posstream, said: Sequence[Message], *, beside: Lookups | None = None) -> TillRun:
    """One run: the messages are there when the worker starts.

    Args:
        posstream: see `prepare`.
        said: the messages.
        beside: lookups that come meanwhile.

    Raises:
        Stalled: if something is not judged.
        RuntimeError: if a rule was paused by its budget.
    """
    on = posstream.stage
    rewind(posstream)
    with ExitStack() as afterwards:
        progress = afterwards.enter_context(_progress(on))
        alerts = afterwards.enter_context(on.counting(on.ends(fraud.FRAUD_ALERT_RAISED)))
        till_load.write(on, said)
        (worker,) = afterwards.enter_context(posstream.started(ready=beside is not None))
        pool = afterwards.enter_context(ThreadPoolExecutor(1))
        paced = pool.submit(_paced, on, beside)
        looks = list(_looks(on, watched([worker]), progress, len(said), paced.done))
        began, ended, seen = paced.result()
        if asyncio.run(worker.metric(_HELD)):
            raise RuntimeError("a rule was paused by its budget")
        rss_bytes = processes.rss_bytes(processes.trees(watched([worker]).pids()))
        return TillRun(
            _middle(looks) if beside is None else _during(looks, began, ended),
            rss_bytes,
            looks[-1].counts,
            alerts(),
            looks[-1].seconds - next(it.seconds for it in looks if it.counts["counted"]),
            behind(looks),
            seen,
        )


def _paced(on: Stage, lookups_: Lookups | None) -> tuple[float, float, Seen | None]:
    """When the lookups came, and what was seen of them."""
    began = time.monotonic()
    if lookups_ is None:
        return began, began, None
    seen, ended = paced(on, lookups_)
    return began, ended, seen


def paced(on: Stage, it: Lookups) -> tuple[Seen, float]:
    """What another client sees of lookups, and when the last one left its till.

    Raises:
        RuntimeError: if some have no answer.
    """
    tag, count = f"{on.next_number():08x}", round(it.rate * it.seconds)
    with observing(on, lookups.CUSTOMER_DATA_FETCHED, tag=tag, count=count) as observer:
        pace(
            on,
            lookups.CUSTOMER_IDENTIFIED,
            rate=it.rate,
            count=count,
            tag=tag,
            customers=it.customers,
        )
        ended = time.monotonic()
        seen = observer.seen()
    if seen.count != count:
        raise RuntimeError(f"{count - seen.count} of {count} lookups have no answer")
    return seen, ended


@contextmanager
def _progress(on: Stage) -> Iterator[Callable[[], tuple[dict[str, int], dict[str, int]]]]:
    """Counts by stage from now on: what is done, and what there is to do."""
    with ExitStack() as afterwards:
        parts: dict[str, list[tuple[Callable[[], int], Sequence[TopicPartition], int]]] = {}
        for stage, (group, names) in STAGES.items():
            for name in names:
                counted = afterwards.enter_context(on.committing(group, name))
                ends = on.ends(name)
                parts.setdefault(stage, []).append((counted, ends, total(ends)))

        def count() -> tuple[dict[str, int], dict[str, int]]:
            # An event is committed when what it became is on the next topic: so what is to do is
            # asked for after what is done.
            done = {
                stage: sum(max(0, counted() - before) for counted, _, before in those)
                for stage, those in parts.items()
            }
            there = {
                stage: sum(total(_ends(on, ends)) - before for _, ends, before in those)
                for stage, those in parts.items()
            }
            return done, there

        yield count


def _ends(on: Stage, partitions: Sequence[TopicPartition]) -> Sequence[TopicPartition]:
    return on.listed(partitions) if on.is_kafka else on.ends(partitions[0].topic)


def _looks(
    on: Stage,
    who: Watched,
    progress: Callable[[], tuple[dict[str, int], dict[str, int]]],
    wanted: int,
    may_end: Callable[[], bool],
) -> Iterator[Look]:
    heard_at = time.monotonic()
    last: dict[str, int] = {}
    while True:
        was_over = may_end()
        done, there = progress()
        now = time.monotonic()
        yield Look(
            now,
            done,
            processes.cpu_seconds(processes.trees(who.pids())),
            processes.cpu_seconds(processes.trees(on.pids)),
        )
        if was_over and done == there and done["answered"] + done["counted"] >= wanted:
            return
        if done != last:
            heard_at, last = now, done
        elif not who.running() or now - heard_at > _STALL_SECONDS:
            raise Stalled(f"{done} of {there}, {wanted} wanted: {who.log()[-3000:]}")
        time.sleep(_LOOK_SECONDS)


def samples(looks: Sequence[Look]) -> list[Sample]:
    """How many events had gone through all stages at each look.

    Some stages have more to do than there are events: each counts by its share of it.
    """
    whole = looks[-1].counts
    return [
        Sample(
            it.seconds,
            whole["counted"] * min(it.counts[name] / max(1, whole[name]) for name in _DONE),
            it.cpu_seconds,
            it.broker_cpu_seconds,
        )
        for it in looks
    ]


def behind(looks: Sequence[Look]) -> dict[str, float]:
    """For how long each stage went on when all events were counted."""
    whole = looks[-1].counts
    at = {
        name: next(it.seconds for it in looks if it.counts[name] == whole[name]) for name in _DONE
    }
    return {name: max(0.0, seconds - at["counted"]) for name, seconds in at.items()}


def _middle(looks: Sequence[Look]) -> Window:
    return window(samples(looks), looks[-1].counts["counted"])


def _during(looks: Sequence[Look], began: float, ended: float) -> Window:
    inside = [it for it in samples(looks) if began <= it.seconds <= ended]
    first, last = inside[0], inside[-1]
    return Window(
        last.seconds - first.seconds,
        last.count - first.count,
        last.cpu_seconds - first.cpu_seconds,
        last.broker_cpu_seconds - first.broker_cpu_seconds,
    )
