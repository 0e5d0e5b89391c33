"""Forgets a customer: commands to the owners of cache entries, marks, and a report.

Each plugin says under which names it knows the customer, and gives the commands that make the
owners of its cache entries remove them; only the owner of a partition may. The owners write marks
on `customer-forgotten`. In one transaction, the projection writes the marks into SQL and deletes
every plugin's rows from before them. A mark in SQL is the acknowledgement: by then the entry, the
running call and the rows are gone.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from posstream.domain.payment_card import mask
from posstream.forgetting.asking import AskedPlugins
from posstream.forgetting.forgotten import known_marks
from posstream.forgetting.marks import Forgotten, Trail
from posstream.forgetting.record import forgotten
from posstream.kafka.record import Record
from posstream.plugin import Plugin
from posstream.read_model.migrate import unmigrated
from posstream.resilience.clock import Clock

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
    """What was removed where, and which topics still hold events. The report names nobody."""

    #: Milliseconds since 1970; a later scan is that of a new customer.
    forgotten_at_ms: int
    identifiers: int
    cache_entries: int
    #: Removed rows by table; of baskets, the rows that lost their customer.
    rows: Mapping[str, int]
    #: Rows that were made meanwhile, because the customer was scanned again.
    newer_rows: int
    topics: tuple[Retained, ...]
    #: Plugins that failed, with the type of their exception: their part is not known to be done.
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def trouble(self) -> str:
        """A sentence about the plugins that failed; empty if none did."""
        if not self.failed:
            return ""
        listed = ", ".join(f"{name} ({why})" for name, why in self.failed.items())
        return f"not confirmed for these plugins: {listed}"


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """The broker has every command, but not all of them are known to be done."""

    waited_seconds: float

    @property
    def why(self) -> str:
        """A sentence for the caller."""
        return (
            "the broker has the command, but no worker confirmed it within "
            f"{self.waited_seconds:g} s. A worker that runs within a day will do it; run it again "
            "to see"
        )


@dataclass(eq=False, kw_only=True)
class CustomerForgetting:
    """Forgets customers."""

    plugins: Sequence[Plugin]
    #: The read model.
    engine: AsyncEngine
    #: Writes a record and waits for the broker's acknowledgement.
    publish: Callable[[Record], Awaitable[object]]
    #: The time of marks that no plugin writes.
    clock: Clock = field(default_factory=Clock)
    #: Reads marks from the read model.
    marks: Callable[[AsyncEngine, Collection[str]], Awaitable[Mapping[str, Forgotten]]] = (
        known_marks
    )
    #: Finds the plugins whose migrations have not all been run.
    unmigrated: Callable[[AsyncEngine, Sequence[Plugin]], Awaitable[Collection[str]]] = unmigrated

    async def forget(
        self, identifier: str, *, patience_seconds: float
    ) -> ForgetReport | Unconfirmed:
        """Forget the customer behind a normalised identifier, with all known identifiers.

        A second call finds nothing, and is no error. After an exception, call it again.

        Raises:
            PublishFailed: or whatever `publish` raises; some commands may be on their way.
            Exception: from the database.
        """
        asked = AskedPlugins(self.plugins, self.engine)
        trail = await asked.trail(identifier)
        return await self._forget(asked, trail, identifier, patience_seconds)

    async def forget_customer(
        self, customer_id: str, *, patience_seconds: float
    ) -> ForgetReport | Unconfirmed:
        """Forget a customer by the directory's id, even if others have the old identifiers now.

        Raises:
            PublishFailed: as `forget` does, and whatever the database raises.
        """
        asked = AskedPlugins(self.plugins, self.engine)
        trail = await asked.trail_of_customer(customer_id)
        return await self._forget(asked, trail, customer_id, patience_seconds)

    async def _forget(
        self, asked: AskedPlugins, trail: Trail, whom: str, patience_seconds: float
    ) -> ForgetReport | Unconfirmed:
        before = await self.marks(self.engine, trail.subjects)
        rows = await asked.rows(trail)
        after_ms = max((mark.forgotten_at_ms for mark in before.values()), default=0)
        commands = await asked.commands(trail, after_ms)
        if commands is None:  # no plugin has commands, so no owner writes the marks
            at_ms = max(self.clock.now_ms(), after_ms + 1)
            commands = [forgotten(Forgotten(it, at_ms)) for it in sorted(trail.subjects)]
        for record in commands:
            await self.publish(record)
        try:
            async with asyncio.timeout(patience_seconds):
                marks = await self._confirmed(trail, after_ms)
        except TimeoutError:
            return Unconfirmed(patience_seconds)
        left = await asked.rows(trail)
        for name in await self.unmigrated(self.engine, self.plugins):
            asked.failed.setdefault(name, "its migration failed; the next one deletes its rows")
        at_ms = max(mark.forgotten_at_ms for mark in marks.values())
        report = ForgetReport(
            forgotten_at_ms=at_ms,
            identifiers=len(trail.identifiers),
            cache_entries=sum(mark.cache_entries for mark in marks.values()),
            rows={
                table: max(0, count - left[table]) for table, count in rows.items() if table in left
            },
            newer_rows=sum(left.values()),
            topics=tuple(
                Retained(spec.name, spec.retention_ms, at_ms + spec.retention_ms)
                for spec in asked.holding
            ),
            failed=dict(asked.failed),
        )
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
            marks = await self.marks(self.engine, trail.subjects)
            if len(marks) == len(trail.subjects) and all(
                mark.forgotten_at_ms > after_ms for mark in marks.values()
            ):
                return marks
            await asyncio.sleep(_PAUSE_SECONDS)
