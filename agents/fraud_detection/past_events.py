"""Reads the till events since some time, in slices, without a consumer group."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, NamedTuple

from agents.fraud_detection.topics import TILL_EVENTS
from posstream.kafka.reader import topic_reader
from posstream.kafka.security import Brokers

#: Events of one slice; the agent waits while they are grouped.
_SLICE: Final = 50
#: What is read is still to be judged.
_NEARLY: Final = 99


class Slice(NamedTuple):
    """Some events, in the order of their partitions."""

    values: Sequence[bytes | None]
    #: How much of the events to be read has been read by now, in percent.
    percent: int
    #: All events that came to the topic after this time are read; earlier ones are not on the topic
    #: any more. 0 if none are missing. In ms since 1970.
    oldest_ms: int


#: Gives the events since a time up to now.
PastEvents = Callable[[int], AsyncIterator[Slice]]


def past_events(servers: Brokers) -> PastEvents:
    """What reads the events from these brokers.

    The iterator may raise BrokerUnreachable.
    """

    async def since(since_ms: int) -> AsyncIterator[Slice]:
        async with topic_reader(servers, TILL_EVENTS, most_at_once=_SLICE) as reader:
            first = await reader.first_offsets(TILL_EVENTS)
            ends = await reader.end_offsets(TILL_EVENTS)
            starts = await reader.offsets_since(TILL_EVENTS, since_ms)
            cut = {it for it, at in starts.items() if at == first[it] > 0}
            number = max(1, sum(ends[it] - at for it, at in starts.items()))
            values: list[bytes | None] = []
            read, oldest_ms = 0, 0
            async for record in reader.records(TILL_EVENTS, starts):
                values.append(record.value)
                read += 1
                if record.partition in cut:
                    cut.discard(record.partition)
                    oldest_ms = max(oldest_ms, record.timestamp)
                if len(values) == _SLICE:
                    yield Slice(values, min(_NEARLY, 100 * read // number), oldest_ms)
                    values = []
            yield Slice(values, _NEARLY, oldest_ms)

    return since
