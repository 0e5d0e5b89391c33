"""What every resolver may use, and the refusals that it may raise."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from graphql import GraphQLError

from agents.customer_lookup.answer_feed import AnswerFeed
from agents.customer_lookup.directory.trial import DirectoryTrial
from agents.customer_lookup.drills.outage_drill import OutageDrills
from agents.customer_lookup.graphql.loaders import Loaders
from agents.customer_lookup.read_model.queries import SqlReadModel
from posstream.configuration.editing import LiveConfiguration
from posstream.dead_letters.box import DeadLetterBox
from posstream.domain.identifier import (
    Identifier,
    IdentifierKind,
    InvalidIdentifier,
    normalise,
)
from posstream.domain.masking import is_personal
from posstream.domain.printable import is_id, is_storable
from posstream.domain.roles import NOBODY, Caller
from posstream.forgetting.forgetting import CustomerForgetting
from posstream.kafka.record import EventPublisher
from posstream.resilience.breaker import Breaker
from posstream.resilience.clock import Clock
from web.guessing import TOO_MANY_LOOKUPS, LookupBudget, TriedIdentifiers
from web.references import References
from web.reveals import Reveals

#: Longest id or search text; no column holds a longer one.
MAX_TEXT: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphQLContext:
    """The ports behind the schema: `info.context` of every resolver."""

    read_model: SqlReadModel
    publisher: EventPublisher
    clock: Clock
    #: Refuse payment-card numbers.
    card_guard: bool
    #: Partitions of the topic of cache commands.
    partitions: int
    configuration: LiveConfiguration
    answers: AnswerFeed
    #: The endpoint in force, and this worker's breaker for it.
    breaker: Callable[[], tuple[str, Breaker]]
    forgetting: CustomerForgetting
    dead_letters: DeadLetterBox
    drills: OutageDrills
    directory_trial: DirectoryTrial
    #: How many identifiers each key may try.
    budget: LookupBudget
    #: How ids stand in URLs and in GraphQL.
    references: References = dataclasses.field(default_factory=lambda: References(b""))
    #: Who asks; by default somebody who may see the least and change nothing.
    caller: Caller = NOBODY
    #: The identifiers that one request shows.
    reveals: Reveals = dataclasses.field(init=False)
    #: The identifiers that one request tries.
    tried: TriedIdentifiers = dataclasses.field(init=False)
    #: What was read for one request, and for no other.
    loaders: Loaders = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reveals", Reveals(self.caller, asked=True))
        object.__setattr__(self, "tried", TriedIdentifiers(self.caller, self.budget))
        object.__setattr__(self, "loaders", Loaders(self.read_model))

    def asked_by(self, caller: Caller) -> "GraphQLContext":
        """The same ports for whoever asks: `context.asked_by(caller_of(request))`."""
        return dataclasses.replace(self, caller=caller)

    def normalise(
        self, scanned: str, kind: IdentifierKind | None = None
    ) -> Identifier | InvalidIdentifier:
        """An identifier as the lookup would read it."""
        return normalise(
            scanned,
            card_guard=self.card_guard,
            kind=kind,
            country_code=self.configuration.current.value.default_country_code,
        )

    def for_request(self) -> "GraphQLContext":
        """The same ports and caller with loaders of their own."""
        return dataclasses.replace(self)


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a mutation did not do it, or not yet; the schema's `MutationError`."""

    code: str
    message: str


def is_sound(text: str) -> bool:
    """Whether a text can be an id: 1 to 256 printable characters, not only blanks."""
    return is_id(text, MAX_TEXT)


def count_lookup(context: GraphQLContext, what: str) -> None:
    """Count one identifier that a query tries.

    Args:
        context: of the query.
        what: the field, for the log.

    Raises:
        GraphQLError: if the caller's key has tried too many.
    """
    if not context.tried.allow(what):
        raise refusal("TOO_MANY_LOOKUPS", TOO_MANY_LOOKUPS)


def read_customer_id(context: GraphQLContext, reference: str, what: str) -> str:
    """The id of a customer that a query names by a reference of ours, or tries.

    Some directories use the phone or the e-mail address as the id. Ours are sealed: one that is
    written out is tried, and counts.

    Args:
        context: of the query.
        reference: what the query has.
        what: the field, for the log.

    Raises:
        GraphQLError: as `count_lookup`.
    """
    if is_personal(reference):
        count_lookup(context, what)
    return context.references.read(reference)


def is_customer_id(text: str) -> bool:
    """Whether a text can be the id of a customer: the directory's own, with any characters."""
    return bool(text.strip()) and len(text) <= MAX_TEXT and is_storable(text)


def refusal(code: str, message: str) -> GraphQLError:
    """An error that is meant for the caller; any other exception is masked by the view."""
    return GraphQLError(message, extensions={"code": code})
