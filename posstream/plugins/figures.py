"""The figures of one plugin at one moment, for metrics: lag, oldest event, recovery."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from faust.exceptions import ConsumerNotStarted
from faust.types import TP
from msgspec import Struct

from posstream.findings import LAG, Finding, found
from posstream.plugins.running import RunningPlugin

#: An event that waits for longer is late: a till that says nothing else waits for 12 s.
_LATE_SECONDS: Final = 30.0


class PluginFigures(Struct, frozen=True, kw_only=True):
    """What a plugin still has to do. The child process tells the worker, as JSON."""

    #: Topic, partition and number of unfinished events, for each partition that the plugin has.
    lag: tuple[tuple[str, int, int], ...] = ()
    #: When the oldest fetched and unfinished event was written, in seconds since 1970.
    oldest_at: float | None = None
    #: Records of changelogs that its tables still have to read before it answers.
    recovering: int = 0


#: Those of a plugin that does not run.
NONE = PluginFigures()


def figures_of(running: RunningPlugin) -> PluginFigures:
    """The figures of a plugin that was built and has not failed."""
    app = running.app
    if not app.has_consumer or not app.started:
        return NONE
    try:
        return PluginFigures(
            lag=tuple(_lag(app)),
            oldest_at=app.lanes.oldest_at,
            recovering=0 if app.tables.actives_ready else _recovering(app),
        )
    except ConsumerNotStarted:
        return NONE


def late(figures: PluginFigures, now: float) -> Sequence[Finding]:
    """The finding that events wait for too long, if they do; `now` is seconds since 1970."""
    if figures.oldest_at is None or (age := now - figures.oldest_at) < _LATE_SECONDS:
        return []
    count = max(1, sum(count for *_, count in figures.lag))
    waits = f"{count:,} events wait" if count > 1 else "1 event waits"
    return [found(LAG, f"{waits}, the oldest for {age:,.0f} s")]


def _lag(app: Any) -> Iterator[tuple[str, int, int]]:
    consumer = app.consumer
    for tp in sorted(TP(*tp) for tp in consumer.assignment() if tp.topic in app.consumed):
        # The end is that of the last fetch: asking the broker would hold up the fetches.
        end, at = consumer.highwater(tp), consumer.finished_to(tp)
        if end is not None and at is not None:
            yield tp.topic, tp.partition, max(0, end - at)


def _recovering(app: Any) -> int:
    remaining: int = app.tables.recovery.active_remaining_total()
    return max(0, remaining)
