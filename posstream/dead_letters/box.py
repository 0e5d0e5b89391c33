"""The dead letters of all plugins on Kafka: read without a group, and replayed.

A command may take as long as it needs. In a worker, tills share the event loop: there each question
is bounded in time and in records, and questions are asked one after the other.
"""

import asyncio
import contextlib
import heapq
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from posstream.dead_letters.letter import (
    Address,
    Letter,
    LetterList,
    NotReplayed,
    Prospect,
    Replay,
    Replayed,
    Replays,
    Source,
    WholeLetter,
)
from posstream.dead_letters.outcomes import Outcomes
from posstream.dead_letters.record import (
    REPLAYED_FROM,
    read_letter,
    read_whole_letter,
    replayed_from,
    why_not_replayed,
)
from posstream.domain.errors import BrokerUnreachable, PublishFailed
from posstream.events.envelope import FIRST_WRITTEN, first_written_ms
from posstream.kafka.reader import GrouplessReader, topic_reader
from posstream.kafka.record import Record
from posstream.kafka.security import Brokers
from posstream.kafka.writer import TopicWriter
from posstream.plugin import Plugin

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

#: Letters that a worker reads at a time.
MOST_LETTERS: Final = 500
#: Records in which a worker looks for an earlier replay.
MOST_SEARCHED: Final = 20_000
#: Seconds that a request may take in a worker, and that it may wait for the one before.
_PATIENCE_SECONDS: Final = 5.0
#: Records of one fetch.
_MOST_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters: those at `addresses`, or those with `reason`, or, with neither, all."""

    addresses: Sequence[Address] = ()
    reason: str | None = None
    #: Whether a letter that its plugin still cannot read is left out.
    skips_hopeless: bool = False

    def starts(self, topic: str) -> dict[int, int] | None:
        """Where to start reading in each partition of a topic; None: everywhere.

        Args:
            topic: as addresses have it: empty for the default plugin's.
        """
        if not self.addresses:
            return None
        wanted = [it for it in self.addresses if it.topic == topic]
        # The lowest offset of a partition is the last one to be set.
        return {it.partition: it.offset for it in sorted(wanted, reverse=True)}

    def has(self, letter: Letter) -> bool:
        """Whether a letter is selected."""
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
    #: Those that the plugin still cannot read: they would become dead letters again.
    hopeless: Sequence[NotReplayed] = ()


class DeadLetterBox:
    """All dead letters of a cluster; every method raises BrokerUnreachable if no broker answers.

    Args:
        brokers: host:port of each.
        plugins: whose dead letters; the default one, else the first, has the short addresses.
        card_guard: whether plugins refuse payment-card numbers.
        engine: the read model, which knows answers; None = answers are not looked for.
        patience_seconds: how long a question may take; None = as long as it needs.
    """

    def __init__(
        self,
        brokers: Brokers,
        plugins: Iterable[Plugin],
        *,
        card_guard: bool = True,
        engine: "AsyncEngine | None" = None,
        patience_seconds: float | None = _PATIENCE_SECONDS,
    ) -> None:
        #: Dead-letter topic -> its plugin, the default one first.
        self._plugins = {
            it.dead_letters: it
            for it in sorted(plugins, key=lambda it: not it.is_default)
            if it.dead_letters is not None
        }
        #: Dead-letter topic -> where its letters may be replayed to.
        self._replayable = {topic: it.replayable for topic, it in self._plugins.items()}
        self._default_topic = next(iter(self._replayable), "")
        self._outcomes = Outcomes(brokers, card_guard=card_guard, engine=engine)
        self._brokers = brokers
        self._patience_seconds = patience_seconds
        self._turn = asyncio.Lock()
        #: Hold it from the search for earlier replays until the letters are written: two clicks
        #: at once would both find none, and both write. It is this
        #: process' own: on another worker somebody may still do the same.
        self.replaying = asyncio.Lock()

    def address(self, text: str) -> Address | None:
        """Read an address on one of the dead-letter topics; None for any other text."""
        address = Address.parse(text)
        if address is None or address.topic not in {"", *self._replayable}:
            return None
        return address._replace(topic="") if address.topic == self._default_topic else address

    # -- to read

    async def letters(self) -> AsyncIterator[Letter]:
        """Every letter, each partition in its order."""
        async with self._reading() as reader:
            for topic in self._replayable:
                async for message in reader.records(topic):
                    yield read_letter(message, self._default_topic)

    async def newest(self) -> LetterList:
        """The newest letters, as many as a worker reads at a time."""
        kept: list[tuple[int, Address, Letter]] = []
        is_connected, has_older, missing = False, False, None
        try:
            async with self._reading() as reader:
                is_connected = True
                for topic in self._replayable:
                    async for message in reader.records(topic, last=MOST_LETTERS + 1):
                        letter = read_letter(message, self._default_topic)
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
        """One letter with key and value; None if there is none at this address."""
        async with self._reading() as reader:
            async for message in self._chosen(reader, Selection([address])):
                if message.offset != address.offset:
                    break
                return read_whole_letter(message, self._default_topic)
        return None

    # -- to replay

    async def survey(self, selection: Selection, *, look_back: bool) -> Survey:
        """Say what a replay would do.

        If there are too many records to search in a worker, earlier replays are not known.

        Args:
            selection: of which letters.
            look_back: search for earlier replays.
        """
        async with self._reading() as reader:
            survey = await self._surveyed(reader, selection)
            if not look_back or not survey.prospects:
                return survey
            most = None if self._patience_seconds is None else MOST_SEARCHED
            try:
                earlier = _replays(reader, survey, most=most)
                before = {address: Source.of(it) async for address, it in earlier}
            except _TooManyError:
                unknown = [replace(it, is_known=False) for it in survey.prospects]
                return replace(survey, prospects=unknown)
        prospects = [
            Prospect(it.address, it.source, before.get(it.address)) for it in survey.prospects
        ]
        return replace(survey, prospects=prospects)

    async def prospect(self, address: Address) -> Prospect | NotReplayed:
        """What a replay of one letter would do, or why there can be none.

        If the time is up or there are too many records, an earlier replay may not be found.
        """
        found: Prospect | None = None
        try:
            async with self._reading() as reader:
                survey = await self._surveyed(reader, Selection([address]))
                judged = _only(survey, address)
                if isinstance(judged, NotReplayed):
                    return judged
                found = judged
                async for it, message in _replays(reader, survey, most=MOST_SEARCHED):
                    if it == address:
                        return replace(found, before=Source.of(message))
                return found
        except (BrokerUnreachable, _TooManyError):
            if found is None:
                raise
            return replace(found, is_known=False)

    async def replays(self, letters: Sequence[Letter]) -> Replays:
        """What came of these letters, as far as they were replayed.

        In a worker, a search that takes too long or too many records is given up.
        """
        judged: dict[Address, Replay] = {}
        try:
            async with self._reading() as reader:
                found, again, is_known = await self._found(reader, letters)
                for topic, plugin in self._plugins.items():
                    own = {it: at for it, at in found.items() if self._topic_of(it) == topic}
                    judged |= await self._outcomes.of(plugin, own, again)
        except (BrokerUnreachable, _TooManyError):
            if self._patience_seconds is None:
                raise
            return Replays(judged, is_known=False)
        return Replays(judged, is_known=is_known)

    async def _found(
        self, reader: GrouplessReader, letters: Sequence[Letter]
    ) -> tuple[Mapping[Address, Any], Mapping[Source, Address], bool]:
        """The newest replay of each letter, the letter of each place, and whether that is all."""
        survey = Survey(
            [
                Prospect(it.address, it.source)
                for it in letters
                if it.source is not None and it.source.topic in self._targets
            ],
            [],
            [],
            {it.address: it.timestamp_ms for it in letters},
        )
        in_worker = self._patience_seconds is not None
        most, last = (MOST_SEARCHED, MOST_LETTERS) if in_worker else (None, None)
        found = {address: at async for address, at in _replays(reader, survey, most=most)}
        again: dict[Source, Address] = {}
        seen = Counter[tuple[str, int]]()
        for topic in self._replayable if found else ():
            async for message in reader.records(topic, last=last):
                seen[topic, message.partition] += 1
                letter = read_letter(message, self._default_topic)
                if letter.source is not None:
                    again[letter.source] = letter.address
        is_known = last is None or all(count < last for count in seen.values())
        return found, again, is_known

    def _topic_of(self, address: Address) -> str:
        return address.topic or self._default_topic

    async def replay(self, address: Address) -> Replayed | NotReplayed:
        """Write a letter to the topic that it came from, even if it was replayed before."""
        async with self._reading() as reader:
            judged = _only(await self._surveyed(reader, Selection([address])), address)
            if isinstance(judged, NotReplayed):
                return judged
            outcomes = [it async for it in self._replayed(reader, {address: judged.source})]
        return outcomes[0]

    async def replay_each(
        self, targets: Mapping[Address, Source]
    ) -> AsyncIterator[Replayed | NotReplayed]:
        """Write letters to the topics that they came from, and report the outcome of each."""
        async with self._reading() as reader:
            async for outcome in self._replayed(reader, targets):
                yield outcome

    async def _replayed(
        self, reader: GrouplessReader, targets: Mapping[Address, Source]
    ) -> AsyncIterator[Replayed | NotReplayed]:
        left = dict(targets)
        # The values are read again rather than kept: there may be many large ones.
        async with TopicWriter(self._brokers) as writer:
            async for message in self._chosen(reader, Selection(list(targets))):
                letter = read_letter(message, self._default_topic)
                source = left.pop(letter.address, None)
                if source is not None:
                    yield await _send(writer, message, letter, source)
                if not left:
                    break
        for address in left:
            yield NotReplayed(address, "it is gone by now")

    # -- for both

    @property
    def _targets(self) -> AbstractSet[str]:
        """The topics that letters may be replayed to."""
        return {topic for topics in self._replayable.values() for topic in topics}

    @contextlib.asynccontextmanager
    async def _reading(self) -> AsyncIterator[GrouplessReader]:
        """A reader of the dead letters and of the topics that they may be replayed to.

        One at a time, and for a bounded time.

        Raises:
            BrokerUnreachable: when the time is up, too.
        """
        topics = (*self._replayable, *sorted(self._targets))
        try:
            async with (
                asyncio.timeout(self._patience_seconds),
                self._turn,
                topic_reader(self._brokers, *topics, most_at_once=_MOST_AT_ONCE) as reader,
            ):
                yield reader
        except TimeoutError:
            raise BrokerUnreachable(
                f"the dead letters could not be read within {self._patience_seconds:g} s"
            ) from None

    async def _chosen(self, reader: GrouplessReader, selection: Selection) -> AsyncIterator[Any]:
        """The records from the first selected letter of each partition on."""
        for topic in self._replayable:
            starts = selection.starts("" if topic == self._default_topic else topic)
            async for message in reader.records(topic, starts):
                yield message

    async def _surveyed(self, reader: GrouplessReader, selection: Selection) -> Survey:
        prospects, refused, hopeless, written_ms = [], [], [], {}
        missing = set(selection.addresses)
        async for message in self._chosen(reader, selection):
            letter = read_letter(message, self._default_topic)
            if not selection.has(letter):
                continue
            missing.discard(letter.address)
            source = letter.source
            why = why_not_replayed(
                letter,
                self._replayable[message.topic],
                reader.partitions(source.topic) if source else (),
            )
            if why is not None or source is None:
                refused.append(NotReplayed(letter.address, why or "?"))
            elif selection.skips_hopeless and (still := self._unreadable(message, source)):
                hopeless.append(NotReplayed(letter.address, still))
            else:
                prospects.append(Prospect(letter.address, source))
                written_ms[letter.address] = letter.timestamp_ms
            if selection.addresses and not missing:
                break
        return Survey(prospects, refused, sorted(missing), written_ms, hopeless)

    def _unreadable(self, letter: Any, source: Source) -> str | None:
        return self._outcomes.still_unreadable(self._plugins[letter.topic], letter, source.topic)


class _TooManyError(Exception):
    """There are more records to search than a worker may search."""


def _only(survey: Survey, address: Address) -> Prospect | NotReplayed:
    """What a survey of one letter found."""
    if survey.prospects:
        return survey.prospects[0]
    return survey.refused[0] if survey.refused else NotReplayed(address, "it is gone by now")


async def _replays(
    reader: GrouplessReader, survey: Survey, *, most: int | None = None
) -> AsyncIterator[tuple[Address, Any]]:
    """Find earlier replays of the surveyed letters: the letter, and the record that replays it.

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
                yield address, message


async def _send(
    writer: TopicWriter, message: Any, letter: Letter, source: Source
) -> Replayed | NotReplayed:
    headers = (
        (REPLAYED_FROM, str(letter.address).encode()),
        # An event without occurred_at happened then, not now.
        (FIRST_WRITTEN, str(letter.timestamp_ms).encode()),
    )
    try:
        written = await writer.write(
            Record(source.topic, message.key, message.value, headers, partition=source.partition)
        )
    except PublishFailed as why:
        return NotReplayed(
            letter.address, f"the broker refused it ({type(why.__cause__).__name__})"
        )
    return Replayed(letter.address, Source(source.topic, *written))
