"""How a plugin declares what it forgets and exports of a customer."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from posstream.forgetting.marks import Trail
from posstream.kafka.record import Record
from posstream.kafka.topics import TopicSpec

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from posstream.kafka.security import Brokers


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgettingPart:
    """What a plugin does to forget a customer, and to export what it knows of a customer.

    Its functions, but for `kept`, only read the database: rows go when the marks of the customer
    come to the read model.
    """

    #: Finds a customer by a normalised identifier: the trail that the plugin knows.
    trail: "Callable[[AsyncEngine, str], Awaitable[Trail]]"
    #: Finds a customer by the directory's id.
    trail_of_customer: "Callable[[AsyncEngine, str], Awaitable[Trail]]"
    #: Counts the rows of each table that are about a customer.
    rows: "Callable[[AsyncEngine, Trail], Awaitable[Mapping[str, int]]]"
    #: Everything that the plugin knows of a customer, as values for JSON.
    export: "Callable[[AsyncEngine, Trail], Awaitable[Mapping[str, Any]]]"
    #: As `export`: what only a table on the workers knows of a customer, from its changelog.
    kept: "Callable[[Brokers, Trail], Awaitable[Mapping[str, Any]]] | None" = None
    #: Commands to the owners of what only they may remove; the owners write the marks of the
    #: trail, later than the given milliseconds since 1970. None = the platform writes the marks.
    commands: Callable[[Trail, int], Sequence[Record]] | None = None
    #: Topics that hold events of customers: nobody can remove single events.
    holding: tuple[TopicSpec, ...] = ()
