"""The use case of erasure: commands to whoever has the cache entries, marks, and a report.

Commands go by the topic of cache commands, because only the owner of a partition may touch its
entries. The owner answers with marks on `customer-forgotten`, the projection takes them into SQL
and removes what is from before, in one transaction. A mark in SQL is the acknowledgement: by then
the entry, the call under way and the rows are gone.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from agents.customer_lookup.cache_commands import Forget, ForgetCustomer
from agents.customer_lookup.events.commands import commanded
from agents.customer_lookup.topics import HOLDING_CUSTOMERS
from posstream.domain.payment_card import mask
from posstream.forgetting.marks import Forgotten, Trail
from posstream.forgetting.ports import Erasure
from posstream.kafka.record import Record

log = logging.getLogger(__name__)

#: How often SQL is asked whether the marks have come.
_PAUSE_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Retained:
    """A topic that still holds events of the customer, and until when at the latest."""

    topic: str
    retention_ms: int
    #: Milliseconds since 1970.
    until_ms: int


@dataclass(frozen=True, slots=True)
class ForgetReport:
    """What was removed where, and what could not be. It names nobody."""

    #: Milliseconds since 1970; a scan after that is a new customer's.
    forgotten_at_ms: int
    identifiers: int
    cache_entries: int
    #: Rows that went, by table; of baskets, those that lost their customer.
    rows: Mapping[str, int]
    #: Rows that there are again, because the customer was scanned once more meanwhile.
    newer_rows: int
    topics: tuple[Retained, ...]


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """The broker has every command, but not all of them are known to be done."""

    waited_seconds: float

    @property
    def why(self) -> str:
        """For whoever asked."""
        return (
            f"the broker has it, but no worker confirmed it within {self.waited_seconds:g} s: it "
            "is done when a worker comes to it, within a day; ask again to see"
        )


class CustomerForgetting:
    """Forgets customers.

    Args:
        erasure: what SQL knows.
        publish: writes a record and waits for the broker's acknowledgement.
    """

    def __init__(self, *, erasure: Erasure, publish: Callable[[Record], Awaitable[None]]) -> None:
        self._erasure = erasure
        self._publish = publish

    async def forget(
        self, identifier: str, *, patience_seconds: float
    ) -> ForgetReport | Unconfirmed:
        """Forget the customer behind a normalised identifier, with all known identifiers.

        Once more finds nothing, and is no error. After an exception, too, it can be done again.

        Raises:
            PublishFailed: or whatever `publish` raises; some commands may be on their way.
            Exception: from the database.
        """
        trail = await self._erasure.trail(identifier)
        return await self._forget(trail, identifier, patience_seconds)

    async def forget_customer(
        self, customer_id: str, *, patience_seconds: float
    ) -> ForgetReport | Unconfirmed:
        """Forget a customer by the id of the directory, whoever has their old identifiers now.

        Raises:
            PublishFailed: as `forget` does, and whatever the database raises.
        """
        trail = await self._erasure.trail_of_customer(customer_id)
        return await self._forget(trail, customer_id, patience_seconds)

    async def _forget(
        self, trail: Trail, whom: str, patience_seconds: float
    ) -> ForgetReport | Unconfirmed:
        before = await self._erasure.marks(trail.subjects)
        rows = await self._erasure.rows(trail)
        after_ms = max((mark.forgotten_at_ms for mark in before.values()), default=0)
        for command in _commands(trail, after_ms):
            for record in commanded(command, 0):
                await self._publish(record)
        try:
            async with asyncio.timeout(patience_seconds):
                marks = await self._confirmed(trail, after_ms)
        except TimeoutError:
            return Unconfirmed(patience_seconds)
        left = await self._erasure.rows(trail)
        report = _report(trail, marks, rows, left)
        log.info(
            "forgotten: %s with %d identifiers, %d cache entries and %d rows",
            mask(whom),
            report.identifiers,
            report.cache_entries,
            sum(report.rows.values()),
        )
        return report

    async def _confirmed(self, trail: Trail, after_ms: int) -> Mapping[str, Forgotten]:
        while True:
            marks = await self._erasure.marks(trail.subjects)
            if len(marks) == len(trail.subjects) and all(
                mark.forgotten_at_ms > after_ms for mark in marks.values()
            ):
                return marks
            await asyncio.sleep(_PAUSE_SECONDS)


def _commands(trail: Trail, after_ms: int) -> list[Forget | ForgetCustomer]:
    if not trail.identifiers:
        return [ForgetCustomer(customer_id, after_ms) for customer_id in trail.customer_ids]
    # The customer goes with the last command, the one for the given identifier: if we fail
    # before that, SQL still knows which other identifiers there are.
    *others, last = trail.identifiers
    return [
        *(Forget(other, (), after_ms) for other in others),
        Forget(last, trail.customer_ids, after_ms),
    ]


def _report(
    trail: Trail, marks: Mapping[str, Forgotten], rows: Mapping[str, int], left: Mapping[str, int]
) -> ForgetReport:
    forgotten_at_ms = max(mark.forgotten_at_ms for mark in marks.values())
    return ForgetReport(
        forgotten_at_ms=forgotten_at_ms,
        identifiers=len(trail.identifiers),
        cache_entries=sum(mark.cache_entries for mark in marks.values()),
        rows={table: max(0, count - left[table]) for table, count in rows.items()},
        newer_rows=sum(left.values()),
        topics=tuple(
            Retained(spec.name, spec.retention_ms, forgotten_at_ms + spec.retention_ms)
            for spec in HOLDING_CUSTOMERS
        ),
    )
