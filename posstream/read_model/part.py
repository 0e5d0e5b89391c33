"""How a plugin declares its SQL tables, their migrations and the projection that writes them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

    from sqlalchemy import Table
    from sqlalchemy.ext.asyncio import AsyncEngine

    from posstream.forgetting.forgotten import Erase
    from posstream.read_model.projection import ProjectedEvent, Projection
    from posstream.read_model.retention import Aging


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadModelPart:
    """The part of the read model that one plugin owns. Its functions import SQLAlchemy."""

    #: The folder of its Alembic revisions, as `package:path`.
    migrations: str
    #: Topics that its projection reads, in the order of a replay.
    projected: tuple[str, ...]
    #: Its tables, in the order in which every transaction writes or locks them.
    tables: "Callable[[], Sequence[Table]]"
    #: Makes the projection that writes its tables.
    projection: "Callable[[AsyncEngine], Projection]"
    #: By table, the keys of the rows that a replay of these events makes. The key is the first
    #: column that is not `id`.
    row_keys: "Callable[[Iterable[ProjectedEvent]], Mapping[Table, Collection[str]]]"
    #: Deletes its rows from before a customer was forgotten; None = no row is about a customer.
    erase: "Erase | None" = None
    #: The tables whose old rows are deleted if POSSTREAM_KEEP_ROWS_DAYS is set.
    aging: "Callable[[], Aging] | None" = None
    #: Works on its tables in the background, in the process of the projections, until cancelled; it
    #: may not block.
    upkeep: "Callable[[AsyncEngine], Awaitable[None]] | None" = None
    #: The consumer group that read these topics before the projection got one of its own: the
    #: first start goes on at that group's offsets.
    former_group: str | None = None
    #: The version table that these migrations had before each plugin got one of its own.
    former_version_table: str | None = None
