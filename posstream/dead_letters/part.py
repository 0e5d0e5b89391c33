"""How a plugin declares whether a replay of its dead letters can succeed, and what came of it."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


@dataclass(frozen=True, slots=True)
class Told:
    """What a message that can be read is about."""

    #: The id of its event: of a lookup, the lookup_id.
    event_id: str
    basket_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayPart:
    """What only the plugin knows of its messages."""

    #: Reads a record of Kafka's as the plugin's agents read it from the topic of this name. The
    #: last argument is whether payment-card numbers are refused. Raises UnreadableEvent.
    read: Callable[[Any, str, bool], Told]
    #: The event_id of each event that is answered -> its answer in a word, from the read model.
    answers: "Callable[[AsyncEngine, Collection[Told]], Awaitable[Mapping[str, str]]] | None" = None
