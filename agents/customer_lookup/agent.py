"""The agent of `customer-identified`: each message gets one terminal answer or a dead letter.

Events that need no call are answered at once (`at_once`). Each other event becomes a task, which
hands the answer to the broker and finishes the event once the broker has it.
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any, Final

from agents.customer_lookup.answers import Identification, LookupAnswer
from agents.customer_lookup.at_once import AtOnce, reason
from agents.customer_lookup.events.writing import answered
from agents.customer_lookup.lookup import Boarded
from agents.customer_lookup.topics import CUSTOMER_IDENTIFIED, REKEYED
from posstream.domain.errors import Stalled, StorageFailed
from posstream.kafka.record import EventPublisher, Record
from posstream.resilience.turns import Turn
from posstream.streaming.lists.lanes import Event
from posstream.streaming.stall import STALLED_SECONDS
from posstream.tracing.spans import Attributes, Kind, Span
from posstream.tracing.starting import tracer

#: How many steps' answers leave together: 2,000 hits fill a batch for each of eight partitions.
_STEPS: Final = 2


@dataclass(eq=False, kw_only=True)
class CustomerLookupAgent(AtOnce):
    """Consumes the source topic and its rekeyed twin. One per app; see `lanes.Answering`."""

    app: Any
    publisher: EventPublisher

    def __post_init__(self) -> None:
        super().__post_init__()
        self.metrics.events_in_flight.set_function(lambda: self.app.lanes.open)
        self.metrics.commit_age_seconds.set_function(self.app.lanes.commit_age_seconds)
        self._tasks: set[asyncio.Task[None]] = set()
        self.app.answer_lists((CUSTOMER_IDENTIFIED, REKEYED), self, steps=_STEPS)

    async def watch_commits(self) -> None:
        """Crash the app if events wait for longer than any may take, and nothing is committed."""
        self.answer_log.report()
        if self.app.lanes.commit_age_seconds() > STALLED_SECONDS:
            await self.app.crash(Stalled(f"nothing was committed for {STALLED_SECONDS} s"))

    def begin(self, event: Event, what: Identification | Exception) -> None:
        """Begin with an event that was not answered at once; see `lanes.Answering`."""
        if isinstance(what, Exception):
            self._spawn(event, self._give_up(event, what))
        else:
            # The turn is taken now, so that no later event is answered before this one.
            turn = self.turns.take(what.identifier)
            about = {"posstream.lookup_id": what.lookup_id}
            span = tracer().span("lookup", Kind.INTERNAL, what.traceparent, about)
            if span.traceparent != what.traceparent:
                what = replace(what, traceparent=span.traceparent)
            consumed_at = self.lookup.consumed_at(what, event.arrived_at)
            boarded = None
            if turn.has_come:
                # `_outcome` just looked at the configuration and the cache: no second look.
                with contextlib.suppress(StorageFailed):  # `_miss` meets it again
                    cache = self.cache.holder(what.identifier)
                    boarded = self.lookup.board(what, cache, consumed_at)
            self._spawn(event, self._miss(event, what, turn, consumed_at, boarded, span))

    def _answered(self, answer: LookupAnswer, event: Event) -> Record:
        seconds = self.clock.monotonic() - event.arrived_at
        self.metrics.answered(answer.source, reason(answer), seconds)
        self.answer_log.answered(answer)
        return answered(answer, self.clock.now_ms())

    async def _miss(  # noqa: PLR0913 - what a miss is made of
        self,
        event: Event,
        asked: Identification,
        turn: Turn,
        consumed_at: float,
        boarded: Boarded | None,
        span: Span,
    ) -> None:
        """Answer one miss.

        Calls of different identifiers run side by side; answers of one identifier leave in the
        order of its events, but none waits for its turn past its own deadline.
        """
        try:
            cache = self.cache.holder(asked.identifier)
            found = await self.lookup.lookup(asked, cache, consumed_at=consumed_at, boarded=boarded)
            if not turn.has_come:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.lookup.left(asked, consumed_at)):
                        await turn.come()
            record = self._answered(found.answer, event)
            acknowledged = await self.publisher.send(record)
            turn.give_up()  # the next answer may leave before the broker has this one
            await acknowledged
            for audited in found.audited:
                await audited
        except BaseException as why:
            span.end(failed=type(why).__name__)
            raise
        finally:
            turn.give_up()
        event.finish()
        span.end(_told(found.answer))

    async def _give_up(self, event: Event, why: Exception) -> None:
        """Make a dead letter of an event; if the app stops instead, the event comes again."""
        if await self.app.failures.is_set_aside(event, why):
            event.finish()

    def _spawn(self, event: Event, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._guarded(event, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, event: Event, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as why:  # noqa: BLE001 - nobody awaits this task
            await self._give_up(event, why)


def _told(answer: LookupAnswer) -> Attributes:
    """What the span of a lookup says of its answer."""
    source = "none" if answer.source is None else answer.source.value
    return {
        "posstream.source": source,
        "posstream.reason": reason(answer),
        "posstream.attempts": answer.attempts,
    }
