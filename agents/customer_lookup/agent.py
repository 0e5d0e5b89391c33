"""The agent of `customer-identified`: each message gets one terminal answer or a dead letter.

Thin: it takes the lists that are fetched, hands answers to the broker, and finishes an event once
the broker has its answer. What can be answered at once is (`at_once`); the others become tasks.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

from faust.types import TP

from agents.customer_lookup.answers import Identification, LookupAnswer
from agents.customer_lookup.at_once import AtOnce, reason
from agents.customer_lookup.events.writing import answered
from agents.customer_lookup.lookup import Answered, CustomerLookup
from agents.customer_lookup.metrics import LookupMetrics
from agents.customer_lookup.topics import CUSTOMER_IDENTIFIED, REKEYED
from posstream.domain.errors import Stalled, UnreadableEvent
from posstream.kafka.record import EventPublisher, Record
from posstream.resilience.clock import Clock
from posstream.resilience.turns import Turn, Turns
from posstream.streaming.lists.batch_path import Event, Outbox
from posstream.streaming.stall import STALLED_SECONDS
from tables.customer_cache import CustomerCacheTable


class CustomerLookupAgent:
    """Consumes the source topic and its rekeyed twin. One per app."""

    #: The topics of what it can answer at once.
    writes: Final = AtOnce.writes

    def __init__(  # noqa: PLR0913 - the wiring names everything it gives
        self,
        app: Any,
        *,
        lookup: CustomerLookup,
        cache: CustomerCacheTable,
        publisher: EventPublisher,
        clock: Clock,
        metrics: LookupMetrics,
        partitions: int,
        card_guard: bool,
    ) -> None:
        self._app = app
        self._lookup = lookup
        self._cache = cache
        self._publisher = publisher
        self._clock = clock
        self._metrics = metrics
        metrics.events_in_flight.set_function(lambda: self.in_flight)
        metrics.commit_age_seconds.set_function(self.commit_age_seconds)
        #: Events begun and not finished, as they came.
        self._open: dict[Event, None] = {}
        self._turns = Turns()
        self._at_once = AtOnce(
            lookup=lookup,
            cache=cache,
            clock=clock,
            metrics=metrics,
            partitions=partitions,
            card_guard=card_guard,
            turns=self._turns,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        app.answer_lists((CUSTOMER_IDENTIFIED, REKEYED), self)

    @property
    def in_flight(self) -> int:
        """Events that wait for a call, and were not finished."""
        return len(self._open)

    def commit_age_seconds(self) -> float:
        """How long an event has been in flight without any commit; 0 if none is."""
        oldest = next(iter(self._open), None)
        if oldest is None:
            return 0.0
        return self._clock.monotonic() - max(oldest.arrived_at, float(self._app.committed_at))

    async def watch_commits(self) -> None:
        """Crash the app if events wait for longer than any may take, and nothing is committed."""
        if self.commit_age_seconds() > STALLED_SECONDS:
            await self._app.crash(Stalled(f"nothing was committed for {STALLED_SECONDS} s"))

    @property
    def queued(self) -> int:
        """How many lookups wait for a call."""
        return self._lookup.queued

    def answer(
        self, tp: TP, records: Sequence[Any], outbox: Outbox, event: Callable[[Any], Event]
    ) -> None:
        """Answer what can be answered at once; see `batch_path.Answering`."""

        def leave(record: Any, asked: Identification | UnreadableEvent) -> None:
            it = event(record)
            self._open[it] = None
            if isinstance(asked, UnreadableEvent):
                self._spawn(it, self._give_up(it, asked))
                return
            # The turn is taken now, so that no later event is answered before this one.
            turn = self._turns.take(asked.identifier)
            consumed_at = self._lookup.consumed_at(asked, it.arrived_at)
            self._spawn(it, self._miss(it, asked, turn, consumed_at))

        self._at_once.answer(tp, records, outbox, leave)

    def _answered(self, answer: LookupAnswer, event: Event) -> Record:
        seconds = self._clock.monotonic() - event.arrived_at
        self._metrics.answered(answer.source, reason(answer), seconds)
        return answered(answer, self._clock.now_ms())

    async def _miss(
        self, event: Event, asked: Identification, turn: Turn, consumed_at: float
    ) -> None:
        """Answer one miss.

        Calls of different identifiers run side by side; answers of one identifier leave in the
        order of its events, but none waits for its turn past its own deadline.
        """
        try:
            cache = self._cache.holder(asked.identifier)
            answered: Answered = await self._lookup.lookup(asked, cache, consumed_at=consumed_at)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._lookup.left(asked, consumed_at)):
                    await turn.come()
            record = self._answered(answered.answer, event)
            acknowledged = await self._publisher.send(record)
        finally:
            turn.give_up()
        await acknowledged
        for audited in answered.audited:
            await audited
        self._finish(event)

    async def _give_up(self, event: Event, why: Exception) -> None:
        if await self._app.failures.is_set_aside(event, why):
            self._finish(event)

    def _finish(self, event: Event) -> None:
        del self._open[event]
        event.finish()

    def _spawn(self, event: Event, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(partial(self._settled, event))

    def _settled(self, event: Event, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and isinstance(why := task.exception(), Exception):
            self._spawn(event, self._give_up(event, why))
