"""What every resolver may use, and the refusals that it may raise."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from graphql import GraphQLError

from posstream.live_configuration import LiveConfiguration
from posstream.ports import EventPublisher, ReadModel
from posstream.resilience.breaker import Breaker
from posstream.resilience.clock import Clock

#: Longest id or search text; no column holds a longer one.
MAX_TEXT: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphQLContext:
    """The ports behind the schema: `info.context` of every resolver."""

    read_model: ReadModel
    publisher: EventPublisher
    clock: Clock
    #: Refuse payment-card numbers.
    card_guard: bool
    #: Partitions of the topic of cache commands.
    partitions: int
    configuration: LiveConfiguration
    #: The endpoint in force, and this worker's breaker for it.
    breaker: Callable[[], tuple[str, Breaker]]


def is_sound(text: str) -> bool:
    """Whether a text can be an id: 1 to 256 printable characters, not only blanks."""
    return bool(text.strip()) and len(text) <= MAX_TEXT and text.isprintable()


def refusal(code: str, message: str) -> GraphQLError:
    """An error that is meant for the caller; any other exception is masked by the view."""
    return GraphQLError(message, extensions={"code": code})
