"""The plugin's panels of the overview: figures of this worker and of all workers."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from agents.customer_lookup.lookup_ports import live_configuration, lookup_ports
from agents.customer_lookup.lookup_split import LookupSplit
from agents.customer_lookup.metrics import LookupMetrics, value_of
from agents.customer_lookup.pages.all_workers import read_overall
from agents.customer_lookup.pages.kept import Kept
from agents.customer_lookup.pages.over_time import Course, OverTime, Sources
from agents.customer_lookup.pages.samples import MAX_STEPS, Sampler
from agents.customer_lookup.read_model.queries import SqlReadModel
from posstream.domain.times import from_ms
from web.console.charts import Chart, chart
from web.console.live import BEAT_SECONDS
from web.console.numbers import percent, rate, whole
from web.console.part import ConsoleKit, Panel
from web.console.ranges import RANGES

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
        self._all_workers = Kept(
            lambda: read_overall(self._read_model, context.clock.now_ms()), context.clock
        )
        sources = Sources(
            read_model=lambda: self._read_model,
            drills=lambda: lookup_ports(context).drills,
            live=live_configuration(context),
            clock=context.clock,
        )
        self._over_time = {
            span: Kept(OverTime(sources, span).read, context.clock) for span in RANGES.values()
        }

    def panels(self) -> list[Panel]:
        """This worker, from what it counts; all workers, from the read model."""
        return [
            Panel(name="this-worker", label="This worker", render=self._this_worker),
            Panel(name="all-workers", label="All workers", render=self._every_worker, scrolls=True),
            Panel(name="over-time", label="All workers over time", render=self._course),
        ]

    @property
    def _read_model(self) -> SqlReadModel:
        return lookup_ports(self._context).read_model

    async def _this_worker(self, _: timedelta) -> str:
        now = from_ms(self._context.clock.now_ms())
        return self._pages.part("overview_this_worker.html", worker=self._figures(now), now=now)

    async def _course(self, span: timedelta) -> str:
        course = await self._over_time[span].latest()
        drawn = {} if course is None else _drawn(course)
        return self._pages.part(
            "overview_over_time.html", course=course, span=span, ranges=RANGES, **drawn
        )

    async def _every_worker(self, _: timedelta) -> str:
        overall = await self._all_workers.latest()
        drawn = [segments(window.counted.split) for window in overall.windows] if overall else []
        return self._pages.part("overview_all_workers.html", overall=overall, segments=drawn)

    def _figures(self, now_at: datetime) -> dict[str, object]:
        """What this worker shows; counts are those of the last `seconds`."""
        sampler, metrics = self._sampler, self._metrics
        step = timedelta(seconds=BEAT_SECONDS)
        line = partial(chart, most=MAX_STEPS, ends=now_at, step=step)
        rates = partial(line, say=rate, unit=" per second")
        lately, now, steps = sampler.since(), sampler.since(NOW_SECONDS), sampler.steps
        endpoint, breaker = lookup_ports(self._context).breaker()
        failures = [it.per_second(it.failures) for it in steps]
        return {
            "seconds": lately.seconds,
            "lookups_per_second": now.per_second(now.split.lookups),
            "lookups_line": rates("lookups-now", [it.per_second(it.split.lookups) for it in steps]),
            "split": lately.split,
            "segments": segments(lately.split),
            "hit_ratio_line": line(
                "hit-ratio-now", [it.split.hit_ratio for it in steps], say=percent, top=1.0
            ),
            "p50_ms": lately.duration_ms(0.5),
            "p95_ms": lately.duration_ms(0.95),
            "attempts": lately.attempts,
            "failures": lately.failures,
            "attempts_line": rates(
                "calls-now",
                [it.per_second(it.attempts) for it in steps],
                part=(failures, "failed"),
            ),
            "coalesced": lately.coalesced,
            "breaker": breaker.state,
            "breaker_held": breaker.held,
            "breaker_opened": int(value_of(metrics.breaker_opened, "_total")),
            "endpoint_host": urlsplit(endpoint).netloc,
            "events_in_flight": int(value_of(metrics.events_in_flight)),
            "in_flight_line": line(
                "in-flight-now", [float(it.last.events_in_flight) for it in steps], say=whole
            ),
            "calls_in_flight": int(value_of(metrics.api_calls_in_flight)),
            "calls_queued": int(value_of(metrics.api_calls_queued)),
            "commit_age_ms": value_of(metrics.commit_age_seconds) * 1000,
        }


def _drawn(course: Course) -> dict[str, Chart]:
    """The charts of a course, by the names that the template has for them."""
    line = partial(
        chart,
        most=len(course.steps),
        ends=course.ends,
        step=course.step,
        say=rate,
        unit=" per second",
        events=course.events,
    )

    def rates(name: str) -> list[float]:
        return [getattr(it.counted, name) / it.seconds for it in course.steps]

    return {
        "lookups": line("lookups", rates("lookups"), part=(rates("failed"), "failed")),
        "calls": line("calls", rates("calls"), part=(rates("failed_calls"), "failed")),
    }
