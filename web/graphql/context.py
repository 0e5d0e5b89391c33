"""What every resolver may use, and the refusals that it may raise."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from graphql import GraphQLError

from posstream.configuration.configurations import Configurations
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
from posstream.fleet.controls import Controls
from posstream.fleet.fleet import Fleet
from posstream.forgetting.forgetting import CustomerForgetting
from posstream.kafka.survey import TopicSurvey
from posstream.plugins.status import PluginState, PluginStatus, PluginUnavailable
from posstream.resilience.clock import Clock
from web.access.guessing import TOO_MANY_LOOKUPS, LookupBudget, TriedIdentifiers
from web.access.references import References
from web.access.reveals import Reveals

#: Longest id or search text; no column holds a longer one.
MAX_TEXT: Final = 256


Made = TypeVar("Made")


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphQLContext:
    """The ports behind the schema and the console: `info.context` of every resolver."""

    clock: Clock
    #: Refuse payment-card numbers.
    card_guard: bool
    #: Partitions of a topic of events.
    partitions: int
    #: Every plugin on this worker by its name, as it is now.
    plugins: Callable[[], Mapping[str, PluginStatus]]
    #: The live configuration of every plugin that has one.
    configurations: Configurations
    forgetting: CustomerForgetting
    dead_letters: DeadLetterBox
    #: All workers, and what is worked by hand on them.
    fleet: Fleet
    controls: Controls
    topics: TopicSurvey
    #: How many identifiers each key may try.
    budget: LookupBudget
    #: How ids stand in URLs and in GraphQL.
    references: References = dataclasses.field(default_factory=lambda: References(b""))
    #: The caller; by default one who may see the least and change nothing.
    caller: Caller = NOBODY
    #: The trace context of the request; events that it writes hand it on.
    traceparent: str | None = None
    #: The identifiers that one request shows.
    reveals: Reveals = dataclasses.field(init=False)
    #: The identifiers that one request tries.
    tried: TriedIdentifiers = dataclasses.field(init=False)
    _of_request: dict[Any, Any] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reveals", Reveals(self.caller, asked=True))
        object.__setattr__(self, "tried", TriedIdentifiers(self.caller, self.budget))
        object.__setattr__(self, "_of_request", {})

    def ports(self, plugin: str) -> Any:
        """The ports that a plugin built for its own GraphQL and pages.

        Raises:
            PluginUnavailable: if the plugin does not run on this worker.
        """
        status = self.plugins().get(plugin) or PluginStatus(name=plugin, state=PluginState.STARTING)
        if status.built is None:
            raise PluginUnavailable(status)
        return status.built.ports

    def once(self, make: "Callable[[GraphQLContext], Made]") -> Made:
        """What `make` gives for one request, such as loaders: made at the first use."""
        if make not in self._of_request:
            self._of_request[make] = make(self)
        made: Made = self._of_request[make]
        return made

    @property
    def country_code(self) -> str | None:
        """`default_country_code` in force, of the plugin whose live configuration has this key."""
        values = (live.current.value for live in self.configurations.values())
        codes = (getattr(value, "default_country_code", None) for value in values)
        return next((code for code in codes if code is not None), None)

    def asked_by(self, caller: Caller) -> "GraphQLContext":
        """A copy for one caller and one request: the same ports, and nothing read yet."""
        return dataclasses.replace(self, caller=caller)

    def within(self, traceparent: str | None) -> "GraphQLContext":
        """A copy for a request with this trace context."""
        return self if traceparent is None else dataclasses.replace(self, traceparent=traceparent)

    def normalise(
        self, scanned: str, kind: IdentifierKind | None = None
    ) -> Identifier | InvalidIdentifier:
        """An identifier as the lookup would read it."""
        return normalise(
            scanned,
            card_guard=self.card_guard,
            kind=kind,
            country_code=self.country_code,
        )


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a mutation did nothing, or is not done yet; the schema's `MutationError`."""

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
    """The id of a customer, from a reference of ours or from the id itself.

    Some directories use the phone or the e-mail address as the id. Our references to such ids are
    sealed. A phone or an e-mail address in the query is a guess, and counts.

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
