"""Asks the forgetting part of every plugin; one that fails does not hide what the others say."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from posstream.forgetting.marks import Trail
from posstream.forgetting.part import ForgettingPart
from posstream.kafka.record import Record
from posstream.kafka.topics import TopicSpec
from posstream.plugin import Plugin

if TYPE_CHECKING:
    from posstream.kafka.security import Brokers

_T = TypeVar("_T")


class AskedPlugins:
    """The plugins that know customers, asked for one customer.

    A plugin that raises is in `failed` and is asked nothing more. If all of them have failed, the
    first one's exception is raised.

    Args:
        plugins: all of them; those without a forgetting part know no customer.
        engine: the read model.
    """

    def __init__(self, plugins: Iterable[Plugin], engine: AsyncEngine) -> None:
        self._parts = {it.name: it.forgetting for it in plugins if it.forgetting is not None}
        self._engine = engine
        #: Plugin -> the type of its exception; the text may quote the customer.
        self.failed: dict[str, str] = {}

    async def trail(self, identifier: str) -> Trail:
        """The trail of a customer in all plugins; the given identifier is the last of it."""
        found = await self._each(lambda part: part.trail(self._engine, identifier))
        trail = _merged(found.values())
        others = tuple(it for it in trail.identifiers if it != identifier)
        return Trail((*others, identifier), trail.customer_ids)

    async def trail_of_customer(self, customer_id: str) -> Trail:
        """The trail of the customer with an id; there may be no identifier in it."""
        found = await self._each(lambda part: part.trail_of_customer(self._engine, customer_id))
        return _merged([*found.values(), Trail((), (customer_id,))])

    async def rows(self, trail: Trail) -> Mapping[str, int]:
        """Table -> how many of its rows are about the customer."""
        found = await self._each(lambda part: part.rows(self._engine, trail))
        return {table: count for rows in found.values() for table, count in rows.items()}

    async def export(self, trail: Trail) -> Mapping[str, Mapping[str, Any]]:
        """Plugin -> everything that the plugin knows of the customer."""
        return await self._each(lambda part: part.export(self._engine, trail))

    async def kept(self, brokers: "Brokers", trail: Trail) -> Mapping[str, Mapping[str, Any]]:
        """Plugin -> what only its tables on the workers know of the customer."""

        async def asked(part: ForgettingPart) -> Mapping[str, Any]:
            return {} if part.kept is None else await part.kept(brokers, trail)

        return await self._each(asked)

    async def commands(self, trail: Trail, after_ms: int) -> Sequence[Record] | None:
        """The commands of all plugins; None if no plugin has commands, so no owner writes marks."""

        async def asked(part: ForgettingPart) -> Sequence[Record] | None:
            return None if part.commands is None else part.commands(trail, after_ms)

        found = [it for it in (await self._each(asked)).values() if it is not None]
        return [record for records in found for record in records] if found else None

    @property
    def holding(self) -> Sequence[TopicSpec]:
        """The topics that hold events of customers."""
        return [spec for part in self._parts.values() for spec in part.holding]

    async def _each(self, ask: Callable[[ForgettingPart], Awaitable[_T]]) -> dict[str, _T]:
        found: dict[str, _T] = {}
        first: Exception | None = None
        for name, part in self._parts.items():
            if name in self.failed:
                continue
            try:
                found[name] = await ask(part)
            except Exception as why:  # noqa: BLE001 - a plugin may raise anything
                self.failed[name] = type(why).__name__
                first = first or why
        if first is not None and not found:
            raise first
        return found


def _merged(trails: Iterable[Trail]) -> Trail:
    known = list(trails)
    return Trail(
        tuple(dict.fromkeys(name for trail in known for name in trail.identifiers)),
        tuple(dict.fromkeys(name for trail in known for name in trail.customer_ids)),
    )
