"""Answers identifications that need no call; hands on the others."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, ClassVar

from faust.types import TP

from agents.customer_lookup.answer_log import AnswerLog
from agents.customer_lookup.answers import Identification, LookupAnswer, LookupFailed
from agents.customer_lookup.events.reading import read_identification
from agents.customer_lookup.events.rekeyed import read_rekeyed, rekeyed
from agents.customer_lookup.events.writing import answered
from agents.customer_lookup.hits import FreshHits
from agents.customer_lookup.lookup import CustomerLookup
from agents.customer_lookup.metrics import LookupMetrics
from agents.customer_lookup.reasons import Source
from agents.customer_lookup.topics import (
    CUSTOMER_DATA_FETCHED,
    CUSTOMER_IDENTIFIED,
    CUSTOMER_LOOKUP_FAILED,
    REKEYED,
)
from posstream.kafka.record import Record
from posstream.resilience.clock import Clock
from posstream.resilience.turns import Turns
from posstream.streaming.lists.outbox import Outbox
from tables.customer_cache import CustomerCacheTable
from tables.partitioned import home


@dataclasses.dataclass(eq=False, kw_only=True)
class AtOnce:
    """Answers what needs no call. One per app."""

    #: The topics of what it can answer.
    writes: ClassVar[Sequence[str]] = (CUSTOMER_DATA_FETCHED, CUSTOMER_LOOKUP_FAILED, REKEYED)

    lookup: CustomerLookup
    cache: CustomerCacheTable
    clock: Clock
    metrics: LookupMetrics
    partitions: int
    card_guard: bool
    #: Identifiers with a lookup under way; no answer may overtake theirs.
    turns: Turns = dataclasses.field(default_factory=Turns)

    def __post_init__(self) -> None:
        self.answer_log = AnswerLog(self.clock)
        self._fresh_hits = FreshHits(
            self.lookup, partitions=self.partitions, turns=self.turns.keys()
        )

    def answer(
        self, tp: TP, records: Sequence[Any], outbox: Outbox
    ) -> Iterator[tuple[Any, Identification | Exception]]:
        """Answer what can be answered at once; see `lanes.Answering`.

        Yields:
            each other record in its place, as it was read, or with what is wrong: an
            `UnreadableEvent`, or any other error (see `EventFailures`).
        """
        stays = self._stays(tp)
        began = self.clock.monotonic()
        counts: Counter[tuple[str | None, str]] = Counter()
        fresh_hits = len(records)
        left = self._without_fresh_hits(tp, records, outbox)
        if each := self.answer_log.says_each:
            left = self.answer_log.hits(records, left, partial(self._read, tp))
        for record in left:
            fresh_hits -= 1
            try:
                asked = self._read(tp, record)
                outcome = self._outcome(asked, began, stays)
            except Exception as why:  # noqa: BLE001 - no event may hold up those behind it
                yield record, why
                continue
            if outcome is None:
                yield record, asked
            elif isinstance(outcome, Record):
                outbox.add(outcome)
            else:
                outbox.add(answered(outcome, self.clock.now_ms()))
                counts[outcome.source, reason(outcome)] += 1
                if each:
                    self.answer_log.each(outcome)
        if fresh_hits:
            counts[Source.CACHE, "NONE"] += fresh_hits
        seconds = self.clock.monotonic() - began
        for (source, why_not), count in counts.items():
            self.metrics.answered(source, why_not, seconds, count)
            self.answer_log.counted(source, why_not, count)

    async def kept(self) -> None:
        """Wait for nothing: no answer at once changes the cache; see `lanes.Answering`."""

    def _without_fresh_hits(self, tp: TP, records: Sequence[Any], outbox: Outbox) -> Iterator[Any]:
        """Answer the ordinary fresh hits; yield each other record in its place."""
        cache = self.cache.partition(tp.partition)
        is_source = tp.topic == CUSTOMER_IDENTIFIED
        get = cache.reader() if is_source and self.lookup.plan.enabled else None
        if get is None:
            yield from records
            return
        try:
            yield from self._fresh_hits.answer(
                records,
                partition=tp.partition,
                get=get,
                now_ms=self.clock.now_ms(),
                outbox=outbox,
            )
        except Exception as why:
            cache.check(why)
            raise

    def _read(self, tp: TP, record: Any) -> Identification:
        if tp.topic == REKEYED:
            return read_rekeyed(record.value)
        return read_identification(
            record.value,
            topic=tp.topic,
            partition=tp.partition,
            offset=record.offset,
            timestamp_ms=record.timestamp,
            headers=record.headers,
            card_guard=self.card_guard,
            country_code=self.lookup.plan.default_country_code,
        )

    def _stays(self, tp: TP) -> Callable[[int], bool]:
        """A test on a cache entry's partition: does this worker answer the identification itself?

        While the cache is frozen, a worker answers every identification that it reads: a worker
        that counts other partitions might send one back.
        """
        if self.cache.co_partitioning.is_frozen:
            return lambda _: True
        if (
            tp.topic == CUSTOMER_IDENTIFIED
            and self.cache.co_partitioning.is_apart
            and not self.cache.owns(tp.partition)
        ):
            return lambda _: False
        return lambda at_home: at_home == tp.partition

    def _outcome(
        self, asked: Identification, arrived_at: float, stays: Callable[[int], bool]
    ) -> LookupAnswer | Record | None:
        """The outcome for an identification that needs no waiting.

        This is its answer, or the record that sends it to the partition of its cache entry (maybe
        on another worker). None: the directory must be asked, or earlier events come first.
        """
        refusal = self.lookup.refuse(asked)
        if refusal is not None:
            # If the plugin was switched off during a lookup, the lookup's answer comes first.
            return None if asked.identifier in self.turns else refusal
        at_home = home(asked.identifier, self.partitions)
        if not stays(at_home):
            return rekeyed(self._taken(asked, arrived_at), at_home)
        if asked.identifier in self.turns:
            return None
        return self.lookup.at_once(asked, self.cache.holder(asked.identifier))

    def _taken(self, asked: Identification, arrived_at: float) -> Identification:
        used = self.clock.monotonic() - arrived_at
        return dataclasses.replace(asked, taken_at_ms=self.clock.now_ms() - round(used * 1000))


def reason(answer: LookupAnswer) -> str:
    """Why an answer has no customer, as metrics say it."""
    return answer.reason if isinstance(answer, LookupFailed) else "NONE"
