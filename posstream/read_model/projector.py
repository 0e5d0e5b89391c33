"""Reads events in batches, in a consumer group of its own, and writes them into the read model.

Off the lookup path: a slow database delays the view, never a till. A batch that fails is tried
again for as long as it takes; meanwhile at most one more batch is fetched, and the consumer stays
in the group. The projection itself skips an event that the database would refuse for ever. Offsets
are committed after the rows, so a crash may repeat events and loses none.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import orjson
from aiokafka import TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError

from posstream.domain.errors import DatabaseUnusable
from posstream.json.reading import read_json_exactly
from posstream.kafka.connection import admin_of, consumer_of
from posstream.kafka.security import SecuredBrokers
from posstream.kafka.tuning import MAX_BATCH, MAX_BATCH_BYTES, Tuning
from posstream.logs.noise import ONCE_A_MINUTE
from posstream.read_model.projection import Decoders, ProjectedEvent, Projection
from posstream.read_model.projections import GroupedProjection
from posstream.read_model.refusals import absence, kind
from posstream.read_model.trouble_log import TroubleLog
from posstream.resilience.retry import growing_pauses
from posstream.resilience.tasks import stop_task
from posstream.streaming.patches import client
from posstream.streaming.patches.pace import FetchPace
from posstream.tracing.starting import tracer

log = logging.getLogger(__name__)

#: How long the first record of a list waits for others, and how long if there are `_MANY`: keys are
#: random, so each row of a short list changes pages of its own.
_LINGER_SECONDS: Final = 0.1
_BUSY_LINGER_SECONDS: Final = 0.5
_MANY: Final = 100
#: From this many events a second on, a fetch waits for more than one of them.
_GATHERS_FROM: Final = 50
#: How long one wait for records lasts while another list is written: the wait does not end with the
#: write.
_WRITES_MS: Final = 50
#: The limit of events for the first list, and the lowest limit after lists that took too long.
_FIRST_MOST: Final = 4_000
_LEAST_MOST: Final = 500
#: How long a list may be written, its wait for other writers included.
_WRITE_SECONDS: Final = 1.0
#: Events that are decoded in one go.
_DECODED_AT_ONCE: Final = 100
#: How long a fetch waits while events are left to write. aiokafka has one fetch at a time with a
#: broker: one for partitions without events would keep those with events waiting.
_BEHIND_WAIT_MS: Final = 10
#: How long one wait for records lasts; then lag is counted anew.
_POLL_MS: Final = 1000
#: Longer than any event of posstream, and than any event that Kafka takes by default.
_MOST_BYTES: Final = 2 * 1024 * 1024
#: The `weight` of a byte of a record that no decoder makes smaller: 16,000 attempts of 1.7 kB took
#: 600 MB until they were written.
_OBJECTS: Final = 5
#: The most bytes that a fetch brings, in all and from one partition: this bounds the memory.
_FETCH_BYTES: Final = 4 * 1024 * 1024
_PARTITION_BYTES: Final = 256 * 1024
#: How long a projection may prepare a list.
_PREPARE_SECONDS: Final = 60
#: How long the broker may take for a commit, a position or a goodbye. aiokafka waits for ever: a
#: commit that met the `kill -9` of a broker did not end, though the broker had been back for 90 s.
_BROKER_SECONDS: Final = 30
#: The longest time between two polls, about 24 days: a database may be away for days.
_BETWEEN_POLLS_MS: Final = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSettings:
    """How consumers of projections reach their broker."""

    servers: SecuredBrokers | Sequence[str]
    #: The worker's name: one that starts again gets its partitions at once (KIP-345).
    member: str | None
    tuning: Tuning


@dataclass(slots=True)
class Standing:
    """How far a projection is, for metrics and health."""

    #: Events that this process has to write, of the partitions that it has.
    lag: int = 0
    written: int = 0
    #: When the oldest event of the last batch was written, in ms since 1970; 0 = no event waits.
    oldest_ms: int = 0
    #: Whether this process has partitions; one of more processes than partitions may have none.
    has_partitions: bool = False
    #: Why nothing is written now; None = it goes well.
    trouble: str | None = None
    #: When the projection was handed the batch that it writes, in monotonic seconds.
    applies_since: float | None = None


@dataclass(slots=True)
class Fetched:
    """Records that are written in one go."""

    records: list[Any]
    events: list[ProjectedEvent]
    #: By partition, the offset after the last record.
    ends: dict[TopicPartition, int]
    #: The sum of the records' `weight`.
    size: int
    #: `Projector.assignment` when they were fetched.
    assignment: int

    def add(self, more: "Fetched") -> None:
        """Take in what was fetched next, in the same assignment."""
        self.records += more.records
        self.events += more.events
        self.ends |= more.ends
        self.size += more.size


@dataclass(eq=False)
class Projector(ConsumerRebalanceListener):
    """Reads the topics of one projection in its consumer group, for the projection to write."""

    #: The name, group and topics of the projection.
    grouped: GroupedProjection
    #: Writes the events.
    projection: Projection
    settings: GroupSettings
    #: Kept up to date.
    standing: Standing
    #: Counts assignments: what was fetched in an earlier one is not committed.
    assignment: int = field(default=0, init=False)
    #: By partition, the offset up to which events are written and that is to be committed.
    finished: dict[TopicPartition, int] = field(default_factory=dict, init=False)
    #: The most events in a list.
    most: int = field(default=_FIRST_MOST, init=False)
    #: How many records are being written.
    in_hand: int = field(default=0, init=False)
    #: Fetches and decodes the next list while one is written; None if no more events wait.
    coming: asyncio.Task[Fetched] | None = field(default=None, init=False)
    #: Why assigned partitions cannot be read from the former group's offsets.
    failure: Exception | None = field(default=None, init=False)
    admin: Any = field(default=None, init=False)
    consumer: Any = field(default=None, init=False)
    pace: FetchPace = field(default_factory=FetchPace, init=False)
    #: Whether `on_partitions_assigned` has found where to begin.
    is_placed: bool = field(default=False, init=False)

    async def run(self) -> None:
        """Project until cancelled; whatever fails is tried again with a growing pause."""
        while True:
            for pause in growing_pauses():
                done_before = self.standing.written
                try:
                    await self._connected()
                except (Exception, SystemExit, asyncio.CancelledError) as why:
                    if _is_told_to_stop():
                        raise asyncio.CancelledError from why
                    self.standing.trouble = kind(why)
                    log.warning(
                        "the projection of %s stopped (%r); again in %g s",
                        self.grouped.name,
                        why,
                        pause,
                        extra={"plugin": self.grouped.name, **ONCE_A_MINUTE},
                    )
                    await asyncio.sleep(pause)
                if self.standing.written > done_before:
                    break

    async def _connected(self) -> None:
        self.failure = None
        self.is_placed = False
        self.in_hand = 0
        self.admin = admin_of(self.settings.servers)
        self.consumer = self._new_consumer()
        try:
            await self.admin.start()
            await self._wait_for_topics()
            self.consumer.subscribe(topics=list(self.grouped.topics), listener=self)
            await self.consumer.start()
            while True:
                await self._step()
        finally:
            await self._drop_coming()
            client.leave_at_stop(self.consumer)
            try:
                async with asyncio.timeout(_BROKER_SECONDS):
                    await self.consumer.stop()
            finally:
                await self.admin.close()

    def _new_consumer(self) -> Any:
        settings, tuning = self.settings, self.settings.tuning
        return consumer_of(
            settings.servers,
            group_id=self.grouped.group,
            group_instance_id=settings.member,
            session_timeout_ms=int(tuning.session_timeout_seconds * 1000),
            heartbeat_interval_ms=int(tuning.heartbeat_interval_seconds * 1000),
            # A join may take as long as the session of a member that died.
            request_timeout_ms=int(max(40, tuning.session_timeout_seconds + 10) * 1000),
            max_poll_interval_ms=_BETWEEN_POLLS_MS,
            fetch_max_wait_ms=tuning.background_wait_ms,
            fetch_max_bytes=_FETCH_BYTES,
            max_partition_fetch_bytes=_PARTITION_BYTES,
            max_poll_records=MAX_BATCH,
        )

    async def _wait_for_topics(self) -> None:
        """Wait until all topics are there: to subscribe to a missing topic could create it."""
        while missing := set(self.grouped.topics) - set(await self.admin.list_topics()):
            self.standing.trouble = f"no topic {', '.join(sorted(missing))}"
            await asyncio.sleep(_POLL_MS / 1000)
        self.standing.trouble = None

    async def _step(self) -> None:
        """Write one list; fetch the next one meanwhile, if more events wait."""
        fetched = await self._taken()
        self.in_hand = len(fetched.records)
        async with asyncio.timeout(_BROKER_SECONDS):
            await self._count_lag()
        if self.standing.lag > self.in_hand:
            self.coming = asyncio.create_task(self._next())
        if self.in_hand:
            self.standing.oldest_ms = min(it.timestamp for it in fetched.records)
            began = time.monotonic()
            await self.write(fetched.records, fetched.events)
            self.took(time.monotonic() - began)
            self.standing.written += self.in_hand
            self.standing.lag -= self.in_hand
        if not self.standing.lag:
            self.standing.oldest_ms = 0
        self.in_hand = 0
        if fetched.assignment == self.assignment:
            self.finished |= fetched.ends
            async with asyncio.timeout(_BROKER_SECONDS):
                await self._commit()
        self.standing.has_partitions = bool(self.consumer.assignment())

    async def _drop_coming(self) -> None:
        coming, self.coming = self.coming, None
        with contextlib.suppress(Exception):  # nobody waits for it any more
            await stop_task(coming)

    async def _taken(self) -> Fetched:
        coming, self.coming = self.coming, None
        if coming is not None:
            fetched = await coming
            if fetched.assignment == self.assignment:  # else it comes again
                return fetched
        return await self._next()

    async def _next(self) -> Fetched:
        """Fetch, decode and prepare a list; while another one is written it grows until it is full.

        A row costs less in a long list.
        """
        fetched = await self._decoded(
            await self._fetched(timeout_ms=_POLL_MS, max_records=self.most)
        )
        began = time.monotonic()
        while (count := len(fetched.records)) and not self._is_full(fetched):
            seconds = _LINGER_SECONDS if count < _MANY else _BUSY_LINGER_SECONDS
            wait_ms = int((began + seconds - time.monotonic()) * 1000)
            if wait_ms <= 0:
                if not self.in_hand:
                    break
                wait_ms = _WRITES_MS
            # Not a sleep: aiokafka fetches no more of a partition before its events are taken.
            more = await self._fetched(timeout_ms=wait_ms, max_records=self.most - count)
            if fetched.assignment != self.assignment:  # what was fetched before comes again
                return await self._decoded(more)
            fetched.add(await self._decoded(more))
        if fetched.events:
            await self._prepare(fetched.events)
        return fetched

    async def _prepare(self, events: Sequence[ProjectedEvent]) -> None:
        """Let the projection prepare a list; what fails here fails again in `apply`."""
        try:
            async with asyncio.timeout(_PREPARE_SECONDS):
                await self.projection.prepare(events)
        except asyncio.CancelledError:
            if _is_told_to_stop():
                raise
        except (Exception, SystemExit) as why:  # noqa: BLE001 - whatever a plugin raises
            log.debug("a list of %s was not prepared (%r)", self.grouped.name, why)

    def _is_full(self, fetched: Fetched) -> bool:
        return len(fetched.records) >= self.most or fetched.size >= MAX_BATCH_BYTES

    async def _decoded(self, fetched: Mapping[TopicPartition, Sequence[Any]]) -> Fetched:
        records = [it for its in fetched.values() for it in its]
        ends = {tp: its[-1].offset + 1 for tp, its in fetched.items()}
        size = sum(weight(it, self.projection.decoders) for it in records)
        made = Fetched(records, [], ends, size, self.assignment)
        for start in range(0, len(records), _DECODED_AT_ONCE):
            made.events += self.decoded(records[start : start + _DECODED_AT_ONCE])
            await asyncio.sleep(0)  # the list that is being written comes first
        return made

    def took(self, seconds: float) -> None:
        """Set the limit of the next lists by how long this one was written.

        Other writers of a SQLite file wait as long, and give up after five seconds.
        """
        if seconds > _WRITE_SECONDS:
            self.most = max(_LEAST_MOST, int(self.in_hand * _WRITE_SECONDS / seconds))
        elif self.in_hand >= self.most:
            self.most = min(MAX_BATCH, 2 * self.most)

    def decoded(self, records: Iterable[Any]) -> Sequence[ProjectedEvent]:
        """The events of records; what is no event is logged and left out."""
        decoders = self.projection.decoders
        try:
            made = [projected(record, decoders) for record in records]
        except SystemExit as why:  # asyncio would end its loop
            raise RuntimeError("its code ended itself") from why
        return [event for event in made if event is not None]

    async def _fetched(self, **limits: int) -> dict[TopicPartition, list[Any]]:
        fetched: dict[TopicPartition, list[Any]] = await self.consumer.getmany(**limits)
        tuning, left = self.settings.tuning, self.standing.lag - self.in_hand
        self.pace.set(
            self.consumer,
            brought=sum(map(len, fetched.values())),
            wait_ms=_BEHIND_WAIT_MS if self.standing.lag else tuning.background_wait_ms,
            quiet_wait_ms=tuning.quiet_background_wait_ms,
            gathers=tuning.gathers and left < _MANY,
            gathers_from=_GATHERS_FROM,
        )
        if self.failure is not None:
            raise self.failure
        if self.is_placed:
            return fetched
        # aiokafka may return records before its listener has found where to begin: go back to them.
        for tp, records in fetched.items():
            self.consumer.seek(tp, records[0].offset)
        return {}

    async def write(self, records: Sequence[Any], events: Sequence[ProjectedEvent]) -> None:
        """Write the events of records; returns only when they are written."""
        about: dict[str, str | int] = {"messaging.batch.message_count": len(records)}
        span = tracer().list_span(f"project {self.grouped.name}", records, about)
        trouble = TroubleLog(self.grouped.name)
        done, most = 0, len(events)
        for pause in growing_pauses():
            try:
                while done < len(events) or not done:
                    whole = not done and most >= len(events)
                    part = events if whole else events[done : done + most]
                    began = time.monotonic()
                    await self._apply(part)
                    done += len(part) or 1
                    if time.monotonic() - began < _WRITE_SECONDS:
                        most *= 2
            except (Exception, SystemExit) as why:  # noqa: BLE001 - whatever a plugin raises
                if isinstance(why, TimeoutError):  # so many may never be written in time
                    most = max(1, min(most, len(events) - done) // 2)
                self.standing.trouble = _told(why)
                trouble.failed(why, len(events))
                await asyncio.sleep(pause)
            else:
                self.standing.trouble = None
                trouble.ended()
                span.end()
                return

    async def _apply(self, events: Sequence[ProjectedEvent]) -> None:
        self.standing.applies_since = time.monotonic()
        try:
            await self.projection.apply(events)
        except asyncio.CancelledError as why:
            if _is_told_to_stop():
                raise
            raise RuntimeError("its code cancelled itself") from why
        finally:
            self.standing.applies_since = None

    async def _commit(self) -> None:
        if not self.finished:
            return
        finished, self.finished = self.finished, {}
        try:
            await self.consumer.commit(finished)
        except (CommitFailedError, IllegalStateError):
            # Another member has these partitions now, and reads the events once more.
            log.info("the projection of %s lost partitions before it committed", self.grouped.name)

    async def _count_lag(self) -> None:
        lag = self.in_hand
        # The assignment may change while a position is asked for.
        with contextlib.suppress(IllegalStateError, AssertionError):
            for tp in self.consumer.assignment():
                # Only a fetch tells the end: the embedded broker's `end_offsets` are too low. Not
                # the high watermark: records behind an open transaction cannot be read yet.
                end = self.consumer.last_stable_offset(tp)
                if end is not None and end >= 0:
                    lag += max(0, end - await self.consumer.position(tp))
        self.standing.lag = lag

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:  # noqa: ARG002
        """Drop what is not committed: the next owner of these partitions reads it again."""
        self.assignment += 1
        self.finished.clear()
        self.is_placed = False

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Go on where the former group was, in partitions without a commit of our own."""
        try:
            if self.grouped.former_group is not None and assigned:
                await self._follow(self.grouped.former_group, assigned)
        except Exception as why:  # noqa: BLE001 - aiokafka would log it and read from the start
            self.failure = why
        self.is_placed = True

    async def _follow(self, former: str, assigned: Sequence[TopicPartition]) -> None:
        own = await self._committed(self.grouped.group, assigned)
        missing = [tp for tp in assigned if tp not in own]
        starts = await self._committed(former, missing) if missing else {}
        for tp, offset in starts.items():
            self.consumer.seek(tp, offset)
        # Commit soon: the broker forgets the former group's offsets once it reads no more.
        self.finished |= starts

    async def _committed(
        self, group: str, tps: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, int]:
        """The committed offsets of a group, of the partitions that have one."""
        found = await self.admin.list_consumer_group_offsets(group, partitions=list(tps))
        return {tp: at.offset for tp, at in found.items() if at.offset >= 0}


def _is_told_to_stop() -> bool:
    """Whether we are to stop; aiokafka and a plugin's code cancel as well."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _told(why: BaseException) -> str:
    """An error in words that quote no row."""
    return str(why) if isinstance(why, DatabaseUnusable) else str(absence(why) or kind(why))


def weight(record: Any, decoders: Decoders) -> int:
    """How much memory a record may take until it is written, in bytes of a record with a decoder.

    Decoded JSON takes many times the memory of its text.
    """
    is_decoded = decoders.get(record.topic, bytes) is not bytes
    return len(record.value or b"") * (1 if is_decoded else _OBJECTS)


def projected(record: Any, decoders: Decoders) -> ProjectedEvent | None:
    """Decode a record for a projection; None, and a line in the log, if the record is no event."""
    topic, text = record.topic, record.value or b""
    decode = decoders.get(topic)
    if decode is not None and (found := decode(text)) is not None:
        return ProjectedEvent(topic, found, record.partition, record.offset, record.key)
    event = ProjectedEvent(topic, None, record.partition, record.offset, record.key)
    if len(text) > _MOST_BYTES:  # compressed, it was small; decoded, it takes ten times this memory
        said = "not projected: %s is longer than %d bytes"
        log.warning(said, event.place, _MOST_BYTES, extra=ONCE_A_MINUTE)
        return None
    try:
        value = read_json_exactly(text)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        value = None
    if not isinstance(value, dict):
        log.warning("not projected: %s is no JSON object", event.place, extra=ONCE_A_MINUTE)
        return None
    return msgspec.structs.replace(event, value=value)
