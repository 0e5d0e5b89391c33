"""The agent of `customer-updated`: news of a customer become commands for its cache entries."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from agents.customer_lookup.cache_commands import (
    CacheCommand,
    Cause,
    CustomerUpdate,
    Evict,
    Replace,
)
from agents.customer_lookup.events.commands import commanded
from agents.customer_lookup.events.reading import read_customer_update
from agents.customer_lookup.read_model.queries import SqlReadModel
from agents.customer_lookup.topics import CUSTOMER_UPDATED
from posstream.dead_letters.setting_aside import place, timestamp_ms
from posstream.json.writing import write_json
from posstream.kafka.record import EventPublisher
from posstream.resilience.clock import Clock
from posstream.resilience.retry import growing_pauses
from posstream.streaming.one_by_one import is_current
from tables.freshness import CacheEntry

log = logging.getLogger(__name__)


@dataclass(eq=False, kw_only=True)
class CustomerUpdatesAgent:
    """Consumes `customer-updated`. One per app."""

    app: Any
    read_model: SqlReadModel
    publisher: EventPublisher
    clock: Clock
    partitions: int
    card_guard: bool
    #: Gives the `default_country_code` in force; see `normalise`.
    country_code: Callable[[], str | None]

    def __post_init__(self) -> None:
        # The handler waits for the database as long as that takes; tills must not wait with it.
        self.app.consume(CUSTOMER_UPDATED, self._handle, waited_for=False)

    async def _handle(self, message: Any) -> None:
        update = read_customer_update(
            message.value,
            timestamp_ms=timestamp_ms(message),
            card_guard=self.card_guard,
            country_code=self.country_code(),
        )
        if update.customer_id is None and update.identifier is None:
            log.info(
                "%s is skipped: its customer_identifier is refused, so no entry has it",
                place(message),
            )
        identifiers = await self._identifiers(update, message)
        acknowledged = [
            await self.publisher.send(record)
            for identifier in identifiers
            for record in commanded(self._command(update, identifier), self.partitions)
        ]
        for each in acknowledged:
            await each

    async def _identifiers(self, update: CustomerUpdate, message: Any) -> Sequence[str]:
        """The given identifier and all known ones of the customer; none after a rebalance."""
        for pause in growing_pauses():
            if not is_current(self.app, message):
                break
            try:
                return await self._known(update)
            except Exception as why:
                log.warning(
                    "the read model cannot say whose cache entries changed (%s); again in %g s",
                    type(why).__name__,
                    pause,
                    exc_info=log.isEnabledFor(logging.DEBUG),
                )
                await asyncio.sleep(pause)
        return ()

    async def _known(self, update: CustomerUpdate) -> Sequence[str]:
        row, given = None, update.identifier
        if update.customer_id is not None:
            row = await self.read_model.customer(update.customer_id)
        elif given is not None:
            row = await self.read_model.customer_by_identifier(given)
        known = set(row.identifiers if row is not None else ())
        return sorted(known if given is None else known | {given})

    def _command(self, update: CustomerUpdate, identifier: str) -> CacheCommand:
        if update.customer is None:
            return Evict(identifier, Cause.UPDATED)
        # An entry from the future is in no window, so it would never be served.
        fetched_at_ms = min(update.occurred_at_ms, self.clock.now_ms())
        document = write_json(update.customer.as_document())
        return Replace(identifier, CacheEntry(fetched_at_ms, document))
