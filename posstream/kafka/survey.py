"""What is on topics and how far consumer groups are: read without a group, and never written.

In a worker, tills share the event loop: each question is bounded in time and in records, and
questions are asked one after the other.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from posstream.domain.errors import BrokerUnreachable
from posstream.kafka.connection import administering, answering, asking
from posstream.kafka.counts import lag_of, offsets_committed
from posstream.kafka.extents import extents
from posstream.kafka.reader import topic_reader
from posstream.kafka.security import Brokers
from posstream.kafka.topics import TopicSpec

#: Records that are looked at together.
MOST_RECORDS: Final = 100
#: Seconds that a request may take, and that it may wait for the one before.
_PATIENCE_SECONDS: Final = 10.0
#: Records of one fetch.
_MOST_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A consumer group of posstream."""

    name: str
    #: What reads in it, in words.
    what: str
    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Extent:
    """The records that a partition has."""

    partition: int
    #: The oldest offset that is kept.
    first: int
    #: The offset after the last record.
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicState:
    """One topic at one moment."""

    spec: TopicSpec
    #: Empty: the broker does not have the topic yet.
    extents: tuple[Extent, ...]

    @property
    def offsets(self) -> int:
        """Offsets that are kept: at least as many as there are records."""
        return sum(it.end - it.first for it in self.extents)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How far a group is in one partition."""

    partition: int
    #: The offset from which it goes on; None = it never committed one.
    committed: int | None
    lag: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupState:
    """How far a group is in one topic."""

    group: Group
    topic: str
    places: tuple[Place, ...]

    @property
    def lag(self) -> int:
        """Records that are not committed."""
        return sum(it.lag for it in self.places)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyed:
    """Topics and groups at one moment."""

    topics: Sequence[TopicState]
    groups: Sequence[GroupState]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRecord:
    """One record of a topic as it is there."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


class TopicSurvey:
    """Topics and groups of a cluster; every method raises BrokerUnreachable without an answer.

    Args:
        brokers: host:port of each.
        topics: which may be looked at.
        groups: which are told of.
    """

    def __init__(
        self, brokers: Brokers, topics: Sequence[TopicSpec], groups: Sequence[Group]
    ) -> None:
        self._brokers = brokers
        self._specs = {spec.name: spec for spec in topics}
        self._groups = groups
        self._turn = asyncio.Lock()

    async def survey(self, topic: str | None = None) -> Surveyed:
        """All topics, or one of them, and the groups that read them."""
        specs = [it for name, it in sorted(self._specs.items()) if topic in {None, name}]
        async with self._asking():
            async with answering(self._brokers), asking(self._brokers) as client:
                there = await extents(client, [it.name for it in specs])
            found = {it.name: _state(it, there[it.name]) for it in specs}
            async with administering(self._brokers) as admin:
                groups = await asyncio.gather(
                    *(
                        _states(admin, it, [found[name] for name in it.topics if name in found])
                        for it in self._groups
                    )
                )
        return Surveyed(topics=[*found.values()], groups=[*chain.from_iterable(groups)])

    async def newest(self, topic: str, count: int) -> Sequence[FoundRecord] | None:
        """The newest records of a topic, newest first; None if it is none of ours.

        Args:
            topic: which.
            count: at most this many, and never more than `MOST_RECORDS`.
        """
        if topic not in self._specs:
            return None
        count = min(count, MOST_RECORDS)
        kept: list[tuple[int, int, int, FoundRecord]] = []
        async with (
            self._asking(),
            topic_reader(self._brokers, topic, most_at_once=_MOST_AT_ONCE) as reader,
        ):
            async for it in reader.records(topic, last=count):
                found = FoundRecord(
                    partition=it.partition,
                    offset=it.offset,
                    timestamp_ms=it.timestamp,
                    key=it.key,
                    value=it.value,
                )
                heapq.heappush(kept, (it.timestamp, it.offset, it.partition, found))
                if len(kept) > count:
                    heapq.heappop(kept)
        return [found for *_, found in sorted(kept, key=lambda it: it[:3], reverse=True)]

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        """One request at a time, each for a bounded time."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS), self._turn:
                yield
        except TimeoutError:
            raise BrokerUnreachable(
                f"the topics could not be read within {_PATIENCE_SECONDS:g} s"
            ) from None


def _state(spec: TopicSpec, there: Mapping[int, tuple[int, int]]) -> TopicState:
    numbers = sorted(there)
    return TopicState(spec=spec, extents=tuple(Extent(it, *there[it]) for it in numbers))


async def _states(admin: Any, group: Group, topics: Sequence[TopicState]) -> list[GroupState]:
    places = [(it.spec.name, extent.partition) for it in topics for extent in it.extents]
    if not places:
        return []
    committed: Mapping[tuple[str, int], int] = await offsets_committed(admin, group.name, places)
    return [
        GroupState(
            group=group,
            topic=it.spec.name,
            places=tuple(
                Place(
                    partition=extent.partition,
                    committed=(at := committed.get((it.spec.name, extent.partition))),
                    lag=lag_of(at, first=extent.first, end=extent.end),
                )
                for extent in it.extents
            ),
        )
        for it in topics
        if it.extents
    ]
