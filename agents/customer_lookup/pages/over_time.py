"""Lookups and calls of all workers over a range, from the read model, with what happened in it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from agents.customer_lookup.configuration import LookupConfiguration
from agents.customer_lookup.drills.outage_drill import OutageDrills
from agents.customer_lookup.pages.drill import described
from agents.customer_lookup.read_model.lookup_counts import LookupCounts
from agents.customer_lookup.read_model.queries import SqlReadModel
from agents.customer_lookup.read_model.records import AnswerFilter, AnswerOutcome, AnswerRow
from posstream.configuration.editing import LiveConfiguration
from posstream.domain.times import from_ms
from posstream.resilience.clock import Clock
from web.console.charts import Event

#: The lengths of a step; a range takes the first one that gives at most `_MOST_STEPS`.
_STEPS_MS: Final = tuple(minutes * 60_000 for minutes in (1, 5, 15, 60))
_MOST_STEPS: Final = 100
#: A step that began just now says little about a rate.
_LEAST_MS: Final = 10_000
#: Failed lookups that are listed.
_MOST_ERRORS: Final = 5
#: Versions of the configuration that are looked at.
_MOST_VERSIONS: Final = 50


@dataclass(frozen=True, slots=True)
class Step:
    """What was counted in one step."""

    seconds: float
    counted: LookupCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """The counts, events and errors of a range, as one read found them."""

    #: Oldest first; the last one may not be over.
    steps: Sequence[Step]
    #: The length of a whole step, and the start of the last one.
    step: timedelta
    ends: datetime
    #: Newest first.
    events: Sequence[Event]
    errors: Sequence[AnswerRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where a course is read from."""

    read_model: Callable[[], SqlReadModel]
    drills: Callable[[], OutageDrills]
    live: LiveConfiguration[LookupConfiguration]
    clock: Clock


class OverTime:
    """The course of one range; what was counted is kept, and counted again more and more rarely.

    Rows may come late, so a step is never final: it is counted again once it is twice as old as it
    was at the last count.

    Args:
        sources: where it is read from.
        span: how far back.
    """

    def __init__(self, sources: Sources, span: timedelta) -> None:
        self._sources = sources
        self._span_ms = round(span / timedelta(milliseconds=1))
        self._step_ms = next(it for it in _STEPS_MS if self._span_ms <= _MOST_STEPS * it)
        #: By the start of the step: when it was counted, and what.
        self._counted: dict[int, tuple[int, LookupCounts]] = {}
        self._changes: tuple[int, Sequence[Event]] | None = None

    async def read(self) -> Course:
        """Count what is due, newest first: if the read is given up, the next one goes on."""
        now_ms, step_ms = self._sources.clock.now_ms(), self._step_ms
        last = now_ms // step_ms * step_ms
        if now_ms - last < _LEAST_MS:
            last -= step_ms
        begins = range(last, last - self._span_ms, -step_ms)
        for begin in begins:
            if self._is_due(begin, now_ms):
                await asyncio.sleep(0)  # SQLite answers on the loop: let others run
                until = from_ms(min(begin + step_ms, now_ms))
                counted = await self._sources.read_model().lookup_counts(from_ms(begin), until)
                self._counted[begin] = now_ms, counted
        self._counted = {begin: self._counted[begin] for begin in begins}
        since = from_ms(begins[-1])
        return Course(
            steps=[
                Step(min(step_ms, now_ms - begin) / 1000, self._counted[begin][1])
                for begin in reversed(begins)
            ],
            step=timedelta(milliseconds=step_ms),
            ends=from_ms(last),
            events=await self._events(since),
            errors=await self._errors(since),
        )

    def _is_due(self, begin: int, now_ms: int) -> bool:
        if begin not in self._counted:
            return True
        counted_at_ms, _ = self._counted[begin]
        return now_ms - counted_at_ms >= counted_at_ms - (begin + self._step_ms)

    async def _events(self, since: datetime) -> Sequence[Event]:
        drills = [
            Event(
                at=from_ms(it.started_at_ms),
                until=from_ms(it.ends_at_ms),
                words=f"drill: {described(it)}",
            )
            for it in self._sources.drills().seen
        ]
        events = [*drills, *await self._configuration_changes()]
        return sorted(
            (it for it in events if (it.until or it.at) >= since),
            key=lambda it: it.at,
            reverse=True,
        )

    async def _configuration_changes(self) -> Sequence[Event]:
        """The last changes; read again only when another version is in force."""
        live = self._sources.live
        version = live.current.in_force.version
        if self._changes is None or self._changes[0] != version:
            history = await live.history(_MOST_VERSIONS)
            changes = [
                Event(
                    at=it.version.updated_at,
                    words=f"configuration version {it.version.version}"
                    + (f", by {it.version.updated_by}" if it.version.updated_by else ""),
                    link="/configuration",
                )
                for it in history
                if it.version.updated_at is not None
            ]
            self._changes = version, changes
        return self._changes[1]

    async def _errors(self, since: datetime) -> Sequence[AnswerRow]:
        if not any(counted.failed for _, counted in self._counted.values()):
            return []
        wanted = AnswerFilter(outcome=AnswerOutcome.FAILED, since=since)
        return await self._sources.read_model().lookup_answers(wanted, first=_MOST_ERRORS)
