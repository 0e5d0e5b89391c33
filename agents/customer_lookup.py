"""The agent of `customer-identified`: each message gets one terminal answer or a dead letter.

Thin: it reads a message, asks the use case, hands the answer to the broker, and acknowledges in
offset order once the broker has it. Hits are answered inline; only misses become tasks.
"""

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import AsyncIterable, Awaitable
from functools import partial
from typing import Any

from agents.dead_letters import DeadLetters, headers, place, timestamp_ms
from posstream import events
from posstream.domain.errors import UnreadableEvent
from posstream.domain.lookup import Identification, LookupAnswer, LookupFailed
from posstream.lookup import Answered, CustomerLookup
from posstream.metrics import Metrics
from posstream.ports import EventPublisher, Record
from posstream.resilience.clock import Clock
from posstream.resilience.turns import Turn, Turns
from posstream.streaming.ordered_acks import OrderedAcks, Slot
from posstream.topics import CUSTOMER_IDENTIFIED, REKEYED
from tables.customer_cache import CustomerCacheTable, home

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
        self._partitions = partitions
        self._card_guard = card_guard
        self._dead_letters = dead_letters
        metrics.events_in_flight.set_function(lambda: self.in_flight)
        metrics.commit_age_seconds.set_function(self.commit_age_seconds)
        self._acks = OrderedAcks(app)
        self._turns = Turns()
        self._tasks: set[asyncio.Task[None]] = set()
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

    async def _consume(self, stream: Any) -> None:
        await self.consume(stream.noack().events())

    async def consume(self, arriving: AsyncIterable[Any]) -> None:
        """Handle events as they arrive; whatever is unforeseen crashes the worker, unacked."""
        async for event in arriving:
            await self._dead_letters.hold_if_stopped()
            try:
                slot = self._acks.take(event)
                if slot is not None:
                    await self._handle(slot)
            except Exception as why:  # noqa: BLE001 - an escaped exception would ack the event
                await self._crash(event, why)

    async def _handle(self, slot: Slot) -> None:
        message = slot.event.message
        try:
            asked = self._read(message)
        except UnreadableEvent as why:
            self._spawn(slot, self._set_aside(slot, why))
            return
        refusal = self._lookup.refuse(asked)
        if refusal is not None:
            await self._send(slot, self._answered(refusal, message))
            return
        partition = home(asked.identifier, self._partitions)
        if partition != message.partition:
            # The cache entry lives in another partition, maybe on another worker.
            await self._send(slot, events.rekeyed(self._taken(asked, message), partition))
            return
        if asked.identifier not in self._turns:
            hit = self._lookup.at_once(asked, self._cache.partition(partition))
            if hit is not None:
                await self._send(slot, self._answered(hit, message))
                return
        turn = self._turns.take(asked.identifier)
        consumed_at = self._lookup.consumed_at(asked, self._taken_at(message))
        self._spawn(slot, self._miss(slot, asked, turn, consumed_at))

    def _read(self, message: Any) -> Identification:
        if message.topic == REKEYED:
            return events.read_rekeyed(message.value)
        return events.read_identification(
            message.value,
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            timestamp_ms=timestamp_ms(message),
            headers=headers(message),
            card_guard=self._card_guard,
        )

    def _answered(self, answer: LookupAnswer, message: Any) -> Record:
        reason = answer.reason if isinstance(answer, LookupFailed) else "NONE"
        self._metrics.answers.labels(answer.source or "NONE", reason).inc()
        self._metrics.answer_seconds.observe(self._clock.monotonic() - self._taken_at(message))
        return events.answered(answer, self._clock.now_ms())

    def _taken_at(self, message: Any) -> float:
        """When the message came to this worker, in monotonic seconds."""
        came = message.arrived_at
        return self._clock.monotonic() if came is None else float(came)

    def _taken(self, asked: Identification, message: Any) -> Identification:
        used = self._clock.monotonic() - self._taken_at(message)
        return dataclasses.replace(asked, taken_at_ms=self._clock.now_ms() - round(used * 1000))

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
