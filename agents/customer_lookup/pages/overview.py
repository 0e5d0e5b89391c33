"""The plugin's panels of the overview: figures of this worker and of all workers."""

from dataclasses import dataclass
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from agents.customer_lookup.lookup_ports import lookup_ports
from agents.customer_lookup.lookup_split import LookupSplit
from agents.customer_lookup.metrics import LookupMetrics, value_of
from agents.customer_lookup.pages.all_workers import AllWorkers
from agents.customer_lookup.pages.samples import MAX_STEPS, Sampler
from posstream.domain.times import from_ms
from web.console.drawing import sparkline
from web.console.part import ConsoleKit, Panel

#: A rate of now is the mean of this many seconds: a single step would jump about.
NOW_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Segment:
    """One kind of answers in a bar that is 100 wide."""

    kind: str
    count: int
    #: Of all answers; None without any.
    share: float | None
    start: float

    @property
    def label(self) -> str:
        """As people read it."""
        return "API" if self.kind == "api" else self.kind

    @property
    def width(self) -> float:
        """In hundredths of the bar."""
        return (self.share or 0) * 100


def segments(answers: LookupSplit) -> list[Segment]:
    """The bar of all kinds, the best ones first; all empty without any."""
    drawn: list[Segment] = []
    start, total = 0.0, answers.lookups
    for kind in ("fresh", "api", "stale", "unknown", "failed"):
        count = getattr(answers, kind)
        drawn.append(Segment(kind, count, count / total if total else None, start))
        start += drawn[-1].width
    return drawn


class OverviewPanels:
    """What this worker and all workers answered, kept up to date."""

    def __init__(self, kit: ConsoleKit) -> None:
        self._pages = kit.pages
        self._context = context = kit.context
        self._metrics = LookupMetrics(kit.metrics)
        self._sampler = Sampler(self._metrics, context.clock)
        kit.live.each_beat(self._sampler.take)
        self._all_workers = AllWorkers(lambda: lookup_ports(context).read_model, context.clock)

    def panels(self) -> list[Panel]:
        """This worker, from what it counts; all workers, from the read model."""
        return [
            Panel(name="this-worker", label="This worker", render=self._this_worker),
            Panel(name="all-workers", label="All workers", render=self._every_worker, scrolls=True),
        ]

    async def _this_worker(self) -> str:
        now = from_ms(self._context.clock.now_ms())
        return self._pages.part("overview_this_worker.html", worker=self._figures(), now=now)

    async def _every_worker(self) -> str:
        overall = await self._all_workers.latest()
        drawn = [segments(window.counted.split) for window in overall.windows] if overall else []
        return self._pages.part("overview_all_workers.html", overall=overall, segments=drawn)

    def _figures(self) -> dict[str, object]:
        """What this worker shows; counts are those of the last `seconds`."""
        sampler, metrics = self._sampler, self._metrics
        line = partial(sparkline, most=MAX_STEPS)
        lately, now, steps = sampler.since(), sampler.since(NOW_SECONDS), sampler.steps
        endpoint, breaker = lookup_ports(self._context).breaker()
        attempts = [step.per_second(step.attempts) for step in steps]
        busiest = max((rate for rate in attempts if rate is not None), default=0.0)
        return {
            "seconds": lately.seconds,
            "lookups_per_second": now.per_second(now.split.lookups),
            "lookups_line": line([step.per_second(step.split.lookups) for step in steps]),
            "split": lately.split,
            "segments": segments(lately.split),
            "hit_ratio_line": line([step.split.hit_ratio for step in steps], top=1.0),
            "p50_ms": lately.duration_ms(0.5),
            "p95_ms": lately.duration_ms(0.95),
            "attempts": lately.attempts,
            "failures": lately.failures,
            "attempts_line": line(attempts),
            "failures_line": line([step.per_second(step.failures) for step in steps], top=busiest),
            "coalesced": lately.coalesced,
            "breaker": breaker.state,
            "breaker_held": breaker.held,
            "breaker_opened": int(value_of(metrics.breaker_opened, "_total")),
            "endpoint_host": urlsplit(endpoint).netloc,
            "events_in_flight": int(value_of(metrics.events_in_flight)),
            "in_flight_line": line([float(step.last.events_in_flight) for step in steps]),
            "calls_in_flight": int(value_of(metrics.api_calls_in_flight)),
            "calls_queued": int(value_of(metrics.api_calls_queued)),
            "commit_age_ms": value_of(metrics.commit_age_seconds) * 1000,
        }
