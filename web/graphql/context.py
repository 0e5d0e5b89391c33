"""What every resolver may use, and the refusals that it may raise."""

from dataclasses import dataclass
from typing import Final

from graphql import GraphQLError

from posstream.ports import EventPublisher, ReadModel
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


def is_sound(text: str) -> bool:
    """Whether a text can be an id: 1 to 256 printable characters, not only blanks."""
    return bool(text.strip()) and len(text) <= MAX_TEXT and text.isprintable()


def refusal(code: str, message: str) -> GraphQLError:
    """An error that is meant for the caller; any other exception is masked by the view."""
    return GraphQLError(message, extensions={"code": code})
