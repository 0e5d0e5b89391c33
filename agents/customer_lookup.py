"""The agent of `customer-identified`: each message gets one terminal answer or a dead letter.

Thin: it reads a message, asks the use case, hands the answer to the broker, and acknowledges in
offset order once the broker has it. What can be answered at once is answered by the fetched list;
here come the others, and only misses become tasks.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterable, Awaitable, Sequence
from functools import partial
from typing import Any

from agents.at_once import AtOnce, reason
from agents.dead_letters import DeadLetters, headers, place, timestamp_ms
from posstream import events
from posstream.domain.errors import UnreadableEvent
from posstream.domain.lookup import Identification, LookupAnswer
from posstream.lookup import Answered, CustomerLookup
from posstream.metrics import Metrics
from posstream.ports import EventPublisher, Record
from posstream.resilience.clock import Clock
from posstream.resilience.turns import Turn, Turns
from posstream.streaming.batch_path import Outbox
from posstream.streaming.ordered_acks import WINDOW, OrderedAcks, Slot
from posstream.topics import CUSTOMER_IDENTIFIED, REKEYED
from tables.customer_cache import CustomerCacheTable

log = logging.getLogger(__name__)


class CustomerLookupAgent:
    """Consumes the source topic and its rekeyed twin. One per app."""

    def __init__(  # noqa: PLR0913 - the wiring names everything it gives
        self,
        app: Any,
        *,
        lookup: CustomerLookup,
        cache: CustomerCacheTable,
        publisher: EventPublisher,
        clock: Clock,
        metrics: Metrics,
        partitions: int,
        card_guard: bool,
        dead_letters: DeadLetters,
    ) -> None:
        self._app = app
        self._lookup = lookup
        self._cache = cache
        self._publisher = publisher
        self._clock = clock
        self._metrics = metrics
        self._dead_letters = dead_letters
        metrics.events_in_flight.set_function(lambda: self.in_flight)
        metrics.commit_age_seconds.set_function(self.commit_age_seconds)
        self._acks = OrderedAcks(app)
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
        app.answering |= dict.fromkeys((CUSTOMER_IDENTIFIED, REKEYED), self)
        source = app.raw_topic(CUSTOMER_IDENTIFIED, REKEYED)
        self.actor = app.agent(source, name="agents.customer_lookup")(self._consume)

    @property
    def in_flight(self) -> int:
        """Events taken and not acknowledged."""
        return self._acks.in_flight

    def commit_age_seconds(self) -> float:
        """How long an event has been in flight without any commit; 0 if none is."""
        oldest = self._acks.oldest
        if oldest is None:
            return 0.0
        return self._clock.monotonic() - max(self._taken_at(oldest), float(self._app.committed_at))

    # -- a fetched list (`batch_path.Answering`)

    @property
    def writes(self) -> Sequence[str]:
        """The topics of its answers."""
        return self._at_once.writes

    def has_room(self, topic: str, partition: int) -> bool:
        """Whether more events of a partition may come to this agent."""
        if self._dead_letters.stopped:
            return False
        open_ = self._at_once.passed_on(topic, partition) + self._acks.open(topic, partition)
        return open_ < WINDOW

    def answer(
        self, topic: str, partition: int, records: Sequence[Any], outbox: Outbox
    ) -> Sequence[Any]:
        """Answer what can be answered at once; the rest comes to this agent."""
        return self._at_once.answer(topic, partition, records, outbox)

    def forget(self) -> None:
        """The partitions were assigned anew: nothing is on its way to this agent."""
        self._at_once.forget()

    # -- what the list left

    async def _consume(self, stream: Any) -> None:
        await self.consume(stream.noack().events())

    async def consume(self, arriving: AsyncIterable[Any]) -> None:
        """Handle events as they arrive; whatever is unforeseen crashes the worker, unacked."""
        async for event in arriving:
            await self._dead_letters.hold_if_stopped()
            message = event.message
            self._at_once.arrived(message.topic, message.partition, message.offset)
            try:
                slot = self._acks.take(event)
                if slot is not None:
                    await self._handle(slot)
            except Exception as why:  # noqa: BLE001 - an escaped exception would ack the event
                await self._crash(event, why)

    async def _handle(self, slot: Slot) -> None:
        message = slot.event.message
        try:
            asked = self._at_once.read(
                message.value,
                topic=message.topic,
                partition=message.partition,
                offset=message.offset,
                timestamp_ms=timestamp_ms(message),
                headers=headers(message),
            )
        except UnreadableEvent as why:
            self._spawn(slot, self._set_aside(slot, why))
            return
        outcome = self._at_once.outcome(asked, message.partition, self._taken_at(message))
        if outcome is not None:
            record = outcome if isinstance(outcome, Record) else self._answered(outcome, message)
            await self._send(slot, record)
            return
        turn = self._turns.take(asked.identifier)
        consumed_at = self._lookup.consumed_at(asked, self._taken_at(message))
        self._spawn(slot, self._miss(slot, asked, turn, consumed_at))

    def _answered(self, answer: LookupAnswer, message: Any) -> Record:
        seconds = self._clock.monotonic() - self._taken_at(message)
        self._metrics.answered(answer.source, reason(answer), seconds)
        return events.answered(answer, self._clock.now_ms())

    def _taken_at(self, message: Any) -> float:
        """When the message came to this worker, in monotonic seconds."""
        came = message.arrived_at
        return self._clock.monotonic() if came is None else float(came)

    async def _miss(
        self, slot: Slot, asked: Identification, turn: Turn, consumed_at: float
    ) -> None:
        """Answer one miss.

        Calls of different identifiers run side by side; answers of one identifier leave in the
        order of its events, but none waits for its turn past its own deadline.
        """
        try:
            cache = self._cache.partition(slot.event.message.partition)
            answered: Answered = await self._lookup.lookup(asked, cache, consumed_at=consumed_at)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._lookup.left(asked, consumed_at)):
                    await turn.come()
            record = self._answered(answered.answer, slot.event.message)
            acknowledged = await self._publisher.send(record)
        finally:
            turn.give_up()
        await acknowledged
        for audited in answered.audited:
            await audited
        slot.finish()

    async def _set_aside(self, slot: Slot, why: UnreadableEvent) -> None:
        if await self._dead_letters.set_aside(slot.event.message, why):
            slot.finish()

    async def _send(self, slot: Slot, record: Record) -> None:
        """Hand a record over; the slot is finished once the broker has it."""
        acknowledged = await self._publisher.send(record)
        self._spawn(slot, _finish(slot, acknowledged))

    def _spawn(self, slot: Slot, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(partial(self._settled, slot))

    def _settled(self, slot: Slot, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (why := task.exception()) is not None:
            crash = asyncio.ensure_future(self._crash(slot.event, why))
            self._tasks.add(crash)
            crash.add_done_callback(self._tasks.discard)

    async def _crash(self, event: Any, why: BaseException) -> None:
        """Stop the worker, the offset not advanced: its supervisor starts it again."""
        log.critical("cannot go on at %s: %r", place(event.message), why, exc_info=why)
        await self._app.crash(why)


async def _finish(slot: Slot, acknowledged: Awaitable[None]) -> None:
    await acknowledged
    slot.finish()
