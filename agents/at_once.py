"""Which identifications can be answered without waiting, and their answers.

Both ways of an event come by here: the fetched list (`posstream.streaming.batch_path`), and the
agent, for what the list had to leave to it.
"""

import dataclasses
from collections import Counter
from collections.abc import Container, Sequence
from typing import Any, Final

from agents.fresh_hits import FreshHits
from posstream import events
from posstream.domain.errors import UnreadableEvent
from posstream.domain.lookup import Identification, LookupAnswer, LookupFailed, Source
from posstream.lookup import CustomerLookup
from posstream.metrics import Metrics
from posstream.ports import Record
from posstream.resilience.clock import Clock
from posstream.streaming.batch_path import Outbox
from posstream.topics import (
    CUSTOMER_DATA_FETCHED,
    CUSTOMER_IDENTIFIED,
    CUSTOMER_LOOKUP_FAILED,
    REKEYED,
)
from tables.customer_cache import CustomerCacheTable, home


class AtOnce:
    """Answers what needs no call. One per app.

    Args:
        turns: identifiers with a lookup under way; no answer may overtake theirs.
    """

    writes: Final = (CUSTOMER_DATA_FETCHED, CUSTOMER_LOOKUP_FAILED, REKEYED)

    def __init__(  # noqa: PLR0913 - the wiring names everything it gives
        self,
        *,
        lookup: CustomerLookup,
        cache: CustomerCacheTable,
        clock: Clock,
        metrics: Metrics,
        partitions: int,
        card_guard: bool,
        turns: Container[str],
    ) -> None:
        self._lookup = lookup
        self._cache = cache
        self._clock = clock
        self._metrics = metrics
        self._partitions = partitions
        self._card_guard = card_guard
        self._turns = turns
        #: Identifiers of events on their way to the agent, by partition and offset.
        self._passed_on: dict[tuple[str, int], dict[int, str]] = {}
        self._expected: Counter[str] = Counter()
        self._fresh_hits = FreshHits(
            lookup, partitions=partitions, expected=self._expected, turns=turns
        )

    # -- one event

    def read(  # noqa: PLR0913 - a message is its bytes and its coordinates
        self,
        value: bytes | None,
        *,
        topic: str,
        partition: int,
        offset: int,
        timestamp_ms: int,
        headers: Sequence[tuple[str, bytes]],
    ) -> Identification:
        """Read a message of the source topic or of its rekeyed twin.

        Raises:
            UnreadableEvent: see `events`.
        """
        if topic == REKEYED:
            return events.read_rekeyed(value)
        return events.read_identification(
            value,
            topic=topic,
            partition=partition,
            offset=offset,
            timestamp_ms=timestamp_ms,
            headers=headers,
            card_guard=self._card_guard,
        )

    def outcome(
        self, asked: Identification, partition: int, arrived_at: float
    ) -> LookupAnswer | Record | None:
        """What can be done with an identification without waiting.

        Args:
            asked: as read.
            partition: where it came from.
            arrived_at: when it came to this worker, in monotonic seconds.

        Returns:
            its answer; the record by which it goes to the partition, maybe of another worker, that
            has its cache entry; or None: the directory must be asked, or others come first.
        """
        refusal = self._lookup.refuse(asked)
        if refusal is not None:
            return refusal
        at_home = home(asked.identifier, self._partitions)
        if at_home != partition:
            return events.rekeyed(self._taken(asked, arrived_at), at_home)
        if asked.identifier in self._turns:
            return None
        return self._lookup.at_once(asked, self._cache.partition(partition))

    def _taken(self, asked: Identification, arrived_at: float) -> Identification:
        used = self._clock.monotonic() - arrived_at
        return dataclasses.replace(asked, taken_at_ms=self._clock.now_ms() - round(used * 1000))

    # -- a fetched list

    def passed_on(self, topic: str, partition: int) -> int:
        """How many events of a partition are on their way to the agent."""
        return len(self._passed_on.get((topic, partition), ()))

    def arrived(self, topic: str, partition: int, offset: int) -> None:
        """The agent has an event."""
        expected = self._passed_on.get((topic, partition), {})
        self._expect_no_more(expected.pop(offset, None))

    def forget(self) -> None:
        """No event is on its way to the agent: the partitions were assigned anew."""
        self._passed_on.clear()
        self._expected.clear()

    def answer(
        self, topic: str, partition: int, records: Sequence[Any], outbox: Outbox
    ) -> Sequence[Any]:
        """Answer what can be answered at once; see `batch_path.Answering`."""
        began = self._clock.monotonic()
        passed_on: list[Any] = []
        counts: Counter[tuple[str | None, str]] = Counter()

        def otherwise(record: Any) -> None:
            answer = self._answer_any(topic, partition, record, began)
            if answer is None:
                passed_on.append(record)
            elif isinstance(answer, Record):
                outbox.add(answer)
            else:
                outbox.add(events.answered(answer, self._clock.now_ms()))
                counts[answer.source, reason(answer)] += 1

        cache = self._cache.partition(partition)
        get = cache.reader() if self._lookup.plan.enabled else None
        if get is None or topic != CUSTOMER_IDENTIFIED:
            for record in records:
                otherwise(record)
        else:
            try:
                counts[Source.CACHE, "NONE"] += self._fresh_hits.answer(
                    records,
                    partition=partition,
                    get=get,
                    now_ms=self._clock.now_ms(),
                    outbox=outbox,
                    otherwise=otherwise,
                )
            except Exception as why:
                cache.check(why)
                raise
        seconds = self._clock.monotonic() - began
        for (source, why_not), count in counts.items():
            self._metrics.answered(source, why_not, seconds, count)
        return passed_on

    def _answer_any(
        self, topic: str, partition: int, record: Any, arrived_at: float
    ) -> LookupAnswer | Record | None:
        """As `outcome`; None, too, if the event cannot be read: the agent sets it aside."""
        try:
            asked = self.read(
                record.value,
                topic=topic,
                partition=partition,
                offset=record.offset,
                timestamp_ms=written_ms(record.timestamp, record.headers),
                headers=record.headers,
            )
        except UnreadableEvent:
            return None
        outcome = None
        if asked.identifier not in self._expected:
            outcome = self.outcome(asked, partition, arrived_at)
        if outcome is None:
            self._expect(topic, partition, record.offset, asked.identifier)
        return outcome

    def _expect(self, topic: str, partition: int, offset: int, identifier: str) -> None:
        expected = self._passed_on.setdefault((topic, partition), {})
        self._expect_no_more(expected.get(offset))  # a seek brought it again
        expected[offset] = identifier
        self._expected[identifier] += 1

    def _expect_no_more(self, identifier: str | None) -> None:
        if identifier is not None:
            self._expected[identifier] -= 1
            if not self._expected[identifier]:
                del self._expected[identifier]


def reason(answer: LookupAnswer) -> str:
    """Why an answer has no customer, as metrics say it."""
    return answer.reason if isinstance(answer, LookupFailed) else "NONE"


def written_ms(timestamp_ms: float, headers: Sequence[tuple[str, bytes]]) -> int:
    """When a message was written, in milliseconds since 1970; of a replay, the first time."""
    first = events.first_written_ms(headers) if headers else None
    return round(timestamp_ms) if first is None else first
