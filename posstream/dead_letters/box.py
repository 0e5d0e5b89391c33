"""The topic of the dead letters on Kafka: read without a group, and replayed from.

A command may take all the time there is. In a worker tills wait for the same event loop: there
each question is bounded, in time and in records, and they are asked one after the other.
"""

import asyncio
import contextlib
import heapq
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import aiokafka
from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError

from agents.customer_lookup.topics import DEAD_LETTERS
from posstream.dead_letters.letter import (
    Address,
    Letter,
    LetterList,
    NotReplayed,
    Prospect,
    Replayed,
    Source,
    WholeLetter,
)
from posstream.dead_letters.ports import DeadLetterBox
from posstream.dead_letters.reading import (
    REPLAYED_FROM,
    read_letter,
    read_whole_letter,
    replayed_from,
    why_not_replayed,
)
from posstream.domain.errors import BrokerUnreachable
from posstream.events.envelope import FIRST_WRITTEN, first_written_ms
from posstream.kafka.answering import answering
from posstream.kafka.topic_reader import TopicReader, topic_reader
from posstream.kafka.topics import DEAD_LETTER_MAX_BYTES

#: Letters that a worker reads at a time.
MOST_LETTERS: Final = 500
#: Records in which a worker looks for an earlier replay.
MOST_SEARCHED: Final = 20_000
#: Seconds that a question may take in a worker, and that it may wait for the one before.
_PATIENCE_SECONDS: Final = 5.0
#: Records of one fetch in a worker.
_MOST_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters: those at `addresses`, or those with `reason`, or, with neither, all."""

    addresses: Sequence[Address] = ()
    reason: str | None = None

    @property
    def starts(self) -> dict[int, int] | None:
        """Where to start reading in each partition; None: everywhere."""
        if not self.addresses:
            return None
        # The lowest offset of a partition is the last one to be set.
        return dict(sorted(self.addresses, reverse=True))

    def has(self, letter: Letter) -> bool:
        """Whether it is one of them."""
        if self.addresses:
            return letter.address in self.addresses
        return self.reason in {None, letter.reason}


@dataclass(frozen=True, slots=True)
class Survey:
    """What a replay of some letters would do."""

    prospects: Sequence[Prospect]
    refused: Sequence[NotReplayed]
    missing: Sequence[Address]
    #: When the message of each prospect was first written, in milliseconds since 1970.
    written_ms: Mapping[Address, int]


class DeadLetterTopic(DeadLetterBox):
    """All dead letters of a cluster, for a command; as a `DeadLetterBox`, for a worker."""

    def __init__(
        self, servers: Sequence[str], *, patience_seconds: float = _PATIENCE_SECONDS
    ) -> None:
        self._servers = list(servers)
        self._patience_seconds = patience_seconds
        self._turn = asyncio.Lock()

    # -- for a command

    async def letters(self) -> AsyncIterator[Letter]:
        """Every letter, each partition in its order."""
        async with topic_reader(self._servers) as reader:
            async for message in reader.records(DEAD_LETTERS):
                yield read_letter(message)

    async def whole(self, address: Address) -> WholeLetter | None:
        """One letter with key and value; None if there is none at this address."""
        async with topic_reader(self._servers) as reader:
            return await _at(reader, address)

    async def survey(self, selection: Selection, *, look_back: bool) -> Survey:
        """Say what a replay would do.

        Args:
            selection: of which letters.
            look_back: search for earlier replays.
        """
        async with topic_reader(self._servers) as reader:
            survey = await _surveyed(reader, selection)
            if not look_back or not survey.prospects:
                return survey
            before = {address: place async for address, place in _replays(reader, survey)}
        prospects = [
            Prospect(it.address, it.source, before.get(it.address)) for it in survey.prospects
        ]
        return replace(survey, prospects=prospects)

    async def replay_each(
        self, targets: Mapping[Address, Source]
    ) -> AsyncIterator[Replayed | NotReplayed]:
        """Write letters once more to where they came from, and say of each how it went."""
        left = dict(targets)
        producer = aiokafka.AIOKafkaProducer(
            bootstrap_servers=self._servers, acks="all", max_request_size=DEAD_LETTER_MAX_BYTES
        )
        # The values are read again and not kept: they may be many and large.
        async with topic_reader(self._servers) as reader:
            try:
                await producer.start()
                starts = Selection(list(targets)).starts
                async for message in reader.records(DEAD_LETTERS, starts):
                    address = Address(message.partition, message.offset)
                    source = left.pop(address, None)
                    if source is not None:
                        yield await _send(producer, message, address, source)
                    if not left:
                        break
            finally:
                await producer.stop()
        for address in left:
            yield NotReplayed(address, "it is gone by now")

    # -- for a worker

    async def newest(self) -> LetterList:
        """The newest letters; see `DeadLetterBox.newest`."""
        kept: list[tuple[int, Address, Letter]] = []
        is_connected, has_older, missing = False, False, None
        try:
            async with self._bounded() as reader:
                is_connected = True
                async for message in reader.records(DEAD_LETTERS, last=MOST_LETTERS + 1):
                    letter = read_letter(message)
                    heapq.heappush(kept, (letter.timestamp_ms, letter.address, letter))
                    if len(kept) > MOST_LETTERS:
                        heapq.heappop(kept)
                        has_older = True
        except BrokerUnreachable as why:
            if not is_connected:
                raise
            missing = str(why)
        letters = [letter for _, _, letter in sorted(kept, reverse=True)]
        return LetterList(letters, has_older=has_older, missing=missing)

    async def find(self, address: Address) -> WholeLetter | None:
        """One letter; see `DeadLetterBox.find`."""
        async with self._bounded() as reader:
            return await _at(reader, address)

    async def prospect(self, address: Address) -> Prospect | NotReplayed:
        """What a replay would do; see `DeadLetterBox.prospect`."""
        found: Prospect | None = None
        try:
            async with self._bounded() as reader:
                survey = await _surveyed(reader, Selection([address]))
                judged = _only(survey, address)
                if isinstance(judged, NotReplayed):
                    return judged
                found = judged
                async for it, place in _replays(reader, survey, most=MOST_SEARCHED):
                    if it == address:
                        return replace(found, before=place)
                return found
        except (BrokerUnreachable, _TooManyError):
            if found is None:
                raise
            return replace(found, is_known=False)

    async def replay(self, address: Address) -> Replayed | NotReplayed:
        """Write a letter once more; see `DeadLetterBox.replay`."""
        async with self._bounded() as reader:
            judged = _only(await _surveyed(reader, Selection([address])), address)
            if isinstance(judged, NotReplayed):
                return judged
            with answering(self._servers):
                outcomes = [it async for it in self.replay_each({address: judged.source})]
        return outcomes[0]

    @contextlib.asynccontextmanager
    async def _bounded(self) -> AsyncIterator[TopicReader]:
        """A reader for one question at a time, and for a bounded time.

        Raises:
            BrokerUnreachable: when the time is up, too.
        """
        seconds = self._patience_seconds
        try:
            async with (
                asyncio.timeout(seconds),
                self._turn,
                topic_reader(self._servers, most_at_once=_MOST_AT_ONCE) as reader,
            ):
                yield reader
        except TimeoutError:
            raise BrokerUnreachable(
                f"the dead letters could not be read within {seconds:g} s"
            ) from None


class _TooManyError(Exception):
    """There are more records to search than may be."""


def _only(survey: Survey, address: Address) -> Prospect | NotReplayed:
    """What was found out about one letter."""
    if survey.prospects:
        return survey.prospects[0]
    return survey.refused[0] if survey.refused else NotReplayed(address, "it is gone by now")


async def _at(reader: TopicReader, address: Address) -> WholeLetter | None:
    async for message in reader.records(DEAD_LETTERS, {address.partition: address.offset}):
        return read_whole_letter(message) if message.offset == address.offset else None
    return None


async def _surveyed(reader: TopicReader, selection: Selection) -> Survey:
    prospects, refused, written_ms = [], [], {}
    missing = set(selection.addresses)
    async for message in reader.records(DEAD_LETTERS, selection.starts):
        letter = read_letter(message)
        if not selection.has(letter):
            continue
        missing.discard(letter.address)
        source = letter.source
        why = why_not_replayed(letter, reader.partitions(source.topic) if source else ())
        if why is None and source is not None:
            prospects.append(Prospect(letter.address, source))
            written_ms[letter.address] = letter.timestamp_ms
        else:
            refused.append(NotReplayed(letter.address, why or "?"))
        if selection.addresses and not missing:
            break
    return Survey(prospects, refused, sorted(missing), written_ms)


async def _replays(
    reader: TopicReader, survey: Survey, *, most: int | None = None
) -> AsyncIterator[tuple[Address, Source]]:
    """Find the surveyed letters that were replayed before, and where each replay lies.

    A replay goes to the partition of its message, at a later offset. It has the address of its
    letter and the time of the message: a dead-letter topic that is made anew uses the same
    addresses again.

    Raises:
        _TooManyError: if there are more than `most` records to search.
    """
    starts: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for source in (it.source for it in survey.prospects):
        behind = source.offset + 1
        lowest = starts[source.topic].get(source.partition, behind)
        starts[source.topic][source.partition] = min(lowest, behind)
    searched = 0
    for topic, offsets in starts.items():
        async for message in reader.records(topic, offsets):
            searched += 1
            if most is not None and searched > most:
                raise _TooManyError
            address = replayed_from(message.headers)
            if address is None:
                continue
            if survey.written_ms.get(address) == first_written_ms(message.headers):
                yield address, Source(topic, message.partition, message.offset)


async def _send(
    producer: aiokafka.AIOKafkaProducer, message: Any, address: Address, source: Source
) -> Replayed | NotReplayed:
    timestamp_ms = read_letter(message).timestamp_ms
    try:
        sent = await producer.send_and_wait(
            source.topic,
            message.value,
            key=message.key,
            partition=source.partition,
            headers=[
                (REPLAYED_FROM, str(address).encode()),
                # An event without occurred_at happened then, not now.
                (FIRST_WRITTEN, str(timestamp_ms).encode()),
            ],
        )
    except (KafkaConnectionError, KafkaTimeoutError):
        raise  # the others would not be taken either
    except KafkaError as why:
        return NotReplayed(address, f"the broker refused it ({type(why).__name__})")
    return Replayed(address, Source(source.topic, source.partition, sent.offset))
