"""The agent of cache commands: changes entries of the cache, each in its partition."""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from agents.customer_lookup.cache_commands import (
    CacheCommand,
    Cause,
    Evict,
    EvictPrefix,
    Forget,
    ForgetCustomer,
    Refresh,
    Replace,
)
from agents.customer_lookup.events.commands import commanded, read_cache_command
from agents.customer_lookup.lookup import CustomerLookup
from agents.customer_lookup.metrics import LookupMetrics
from agents.customer_lookup.topics import CACHE_COMMANDS
from posstream.forgetting.marks import Forgotten, subject_of_customer, subject_of_identifier
from posstream.forgetting.record import forgotten
from posstream.kafka.record import EventPublisher, Record
from posstream.resilience.clock import Clock
from posstream.streaming.one_by_one import is_current
from tables.customer_cache import CachePartition, CustomerCacheTable
from tables.partitioned import home

log = logging.getLogger(__name__)

#: Entries between two rounds of the event loop.
SLICE: Final = 50
#: How often a partition that is not at hand yet is looked for again.
_PAUSE_SECONDS: Final = 0.1


@dataclass(eq=False, kw_only=True)
class CacheMaintenanceAgent:
    """Consumes the internal topic of cache commands. One per app."""

    app: Any
    cache: CustomerCacheTable
    lookup: CustomerLookup
    publisher: EventPublisher
    clock: Clock
    metrics: LookupMetrics

    def __post_init__(self) -> None:
        # A command may wait for a rebalance, so no rebalance must wait for the command.
        self.app.consume(CACHE_COMMANDS, self._handle, waited_for=False)

    async def _handle(self, message: Any) -> None:
        number = message.partition
        command = read_cache_command(message.value)
        waits = False
        while not await self._done(command, number):
            # A command waits until its partition is recovered and not frozen. Its change to half a
            # store, or to entries that are being moved, would be lost.
            if not is_current(self.app, message):
                return
            if not waits:
                log.info("a cache command waits until cache partition %d can be written", number)
                waits = True
            await asyncio.sleep(_PAUSE_SECONDS)
        await self.cache.flush()  # once the changelog has it, the command may be acknowledged

    async def _done(self, command: CacheCommand, number: int) -> bool:
        """Do a command; False if the partition is not at hand."""
        if self.cache.co_partitioning.is_frozen:
            return isinstance(command, Refresh)  # its result could not be kept
        sent_on = self._sent_on(command, number)
        for record in sent_on:
            await (await self.publisher.send(record))
        partition = self.cache.partition(number)
        if number >= self.cache.partitions or (sent_on and not isinstance(command, EvictPrefix)):
            return True
        if not partition.at_hand:
            return False
        try:
            return await self._do(command, partition)
        except Exception:
            if self.cache.partition(number).at_hand:
                raise
            return False

    def _sent_on(self, command: CacheCommand, number: int) -> list[Record]:
        """The records that send a command again, if partitions were added since it was sent."""
        partitions = self.cache.partitions
        match command:
            case EvictPrefix(_, sent_to):
                missed = number == 0 and 0 < sent_to < partitions
                return commanded(command, partitions)[sent_to:] if missed else []
            case ForgetCustomer():  # names no cache entry: any partition will do
                at_home = number % partitions
            case _:
                at_home = home(command.identifier, partitions)
        records = commanded(command, partitions) if at_home != number else []
        return [replace(record, partition=at_home) for record in records]

    async def _do(self, command: CacheCommand, partition: CachePartition) -> bool:
        match command:
            case Evict(identifier, cause):
                self._remove(partition, identifier, cause)
            case EvictPrefix(prefix):
                return await self._remove_all(partition, prefix)
            case Replace():
                self._replace(partition, command)
            case Refresh():
                self.lookup.refresh(command, partition)
            case Forget():
                await self._forget(partition, command)
            case ForgetCustomer(customer_id, after_ms):
                moment = self._later_than(after_ms)
                await self._mark([Forgotten(subject_of_customer(customer_id), moment)])
        return True

    async def _forget(self, partition: CachePartition, command: Forget) -> None:
        """Remove the entry, then write marks for the read model, dated at the removal.

        All calls for the identifier run on this worker and are dated by its clock. So a call that
        began before the removal is from before the mark, and a later call is not.
        """
        removed = self._remove(partition, command.identifier, Cause.FORGOTTEN)
        forgotten_at_ms = self._later_than(command.after_ms)
        await self.cache.flush()  # a mark says that the entry is gone
        marks = [
            Forgotten(subject_of_identifier(command.identifier), forgotten_at_ms, int(removed)),
            *(
                Forgotten(subject_of_customer(customer_id), forgotten_at_ms)
                for customer_id in command.customer_ids
            ),
        ]
        await self._mark(marks)

    def _later_than(self, after_ms: int) -> int:
        return max(self.clock.now_ms(), after_ms + 1)

    async def _mark(self, marks: Iterable[Forgotten]) -> None:
        for mark in marks:
            await (await self.publisher.send(forgotten(mark)))

    def _remove(self, partition: CachePartition, identifier: str, cause: Cause) -> bool:
        # First: a call that is under way may have asked before the customer changed.
        self.lookup.forget(identifier)
        removed = partition.remove(identifier)
        if removed:
            self.metrics.cache_removed.labels(cause).inc()
        return removed

    async def _remove_all(self, partition: CachePartition, prefix: str) -> bool:
        self.lookup.forget_prefix(prefix)
        start = prefix.encode()
        while (entries := partition.entries(start, SLICE)) is not None:
            for stored in entries:
                if not stored.identifier.startswith(prefix):
                    return True
                self._remove(partition, stored.identifier, Cause.EVICTED)
            if len(entries) < SLICE:
                return True
            start = entries[-1].next
            await self.cache.flush()  # a bounded number of tombstones under way
        return False

    def _replace(self, partition: CachePartition, command: Replace) -> None:
        present = partition.get(command.identifier)
        if present is None or present.fetched_at_ms <= command.entry.fetched_at_ms:
            self.lookup.forget(command.identifier)
            partition.put(command.identifier, command.entry)
