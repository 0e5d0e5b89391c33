"""The filter of the list of lookups, and a place in the list, as both stand in a URL.

If the text of a field makes no sense, the form shows that text again, with a message beside it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from graphql import GraphQLError

from agents.customer_lookup.read_model.records import (
    AnswerFilter,
    AnswerOutcome,
    AnswerRow,
    Position,
)
from agents.customer_lookup.reasons import Reason, Source
from posstream.domain.identifier import Identifier, InvalidIdentifier
from web.console.typed_fields import TypedFields
from web.graphql import connections

#: The fields of the form, by their names in the URL.
FIELDS: Final = ("outcome", "source", "reason", "identifier", "basket", "from", "to")
_LISTED: Final = "lookupAnswers"
Normalise = Callable[[str], Identifier | InvalidIdentifier]


@dataclass(frozen=True, slots=True)
class AskedFilter:
    """A filter as somebody asked for it."""

    #: By field, as it was typed, without blanks around it.
    typed: Mapping[str, str]
    #: By field: why it makes no sense.
    errors: Mapping[str, str]
    #: What the other fields mean.
    wanted: AnswerFilter

    @property
    def is_empty(self) -> bool:
        """Whether everything is asked for."""
        return not any(self.typed.values())


def read_filter(query: Mapping[str, str], *, normalise: Normalise) -> AskedFilter:
    """The filter in the query of a URL; a blank field filters nothing.

    Args:
        query: its parameters.
        normalise: reads an identifier, as the lookup does.
    """
    fields = _Fields({name: query.get(name, "").strip() for name in FIELDS})
    since, until = fields.span()
    wanted = AnswerFilter(
        outcome=fields.word("outcome", AnswerOutcome),
        source=fields.word("source", Source),
        reason=fields.word("reason", Reason),
        identifier=fields.identifier("identifier", normalise),
        basket_id=fields.id("basket", "A basket's id is "),
        since=since,
        until=until,
    )
    return AskedFilter(fields.typed, fields.errors, wanted)


def cursor_at(row: AnswerRow) -> str:
    """The place of a row."""
    return connections.place_cursor(_LISTED, row.occurred_at, row.event_id)


def read_place(cursor: str) -> Position | None:
    """The place that a cursor names; None if it is none of this list's."""
    try:
        return Position(*connections.read_place(_LISTED, cursor))
    except GraphQLError:
        return None


class _Fields(TypedFields):
    def identifier(self, name: str, normalise: Normalise) -> str | None:
        if not self.typed[name]:
            return None
        found = normalise(self.typed[name])
        if isinstance(found, Identifier):
            return found.value
        self.errors[name] = f"No lookup has this identifier: {found.why}."
        return None
