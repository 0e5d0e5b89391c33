"""The filter of the list of lookups, and a place in the list, as both stand in a URL.

A field of the filter that makes no sense is kept as it was typed, with a message beside it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeVar

from graphql import GraphQLError

from agents.customer_lookup.read_model.records import (
    AnswerFilter,
    AnswerOutcome,
    AnswerRow,
    Position,
)
from agents.customer_lookup.reasons import Reason, Source
from posstream.domain.identifier import Identifier, InvalidIdentifier
from posstream.domain.times import parse_utc
from web.graphql import connections
from web.graphql.context import MAX_TEXT, is_sound

#: The fields of the form, by their names in the URL.
FIELDS: Final = ("outcome", "source", "reason", "identifier", "basket", "from", "to")
_LISTED: Final = "lookupAnswers"
Normalise = Callable[[str], Identifier | InvalidIdentifier]
Word = TypeVar("Word", bound=StrEnum)


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
    wanted = AnswerFilter(
        outcome=fields.word("outcome", AnswerOutcome),
        source=fields.word("source", Source),
        reason=fields.word("reason", Reason),
        identifier=fields.identifier("identifier", normalise),
        basket_id=fields.basket("basket"),
        since=fields.moment("from"),
        until=fields.moment("to"),
    )
    if wanted.since and wanted.until and wanted.since >= wanted.until:
        fields.errors["to"] = "This is not after the start."
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


class _Fields:
    """The typed fields, read one by one; the errors gather."""

    def __init__(self, typed: Mapping[str, str]) -> None:
        self.typed = typed
        self.errors: dict[str, str] = {}

    def word(self, name: str, words: type[Word]) -> Word | None:
        text = self.typed[name]
        if not text:
            return None
        try:
            return words(text)
        except ValueError:
            self.errors[name] = "Choose one of the list."
            return None

    def identifier(self, name: str, normalise: Normalise) -> str | None:
        if not self.typed[name]:
            return None
        found = normalise(self.typed[name])
        if isinstance(found, Identifier):
            return found.value
        self.errors[name] = f"No lookup has this identifier: {found.why}."
        return None

    def basket(self, name: str) -> str | None:
        text = self.typed[name]
        if text and not is_sound(text):
            self.errors[name] = f"A basket's id is 1 to {MAX_TEXT} printable characters."
        return text or None

    def moment(self, name: str) -> datetime | None:
        """A time in UTC; the pickers of browsers write no offset."""
        text = self.typed[name]
        moment = parse_utc(text) if text else None
        if text and moment is None:
            self.errors[name] = "Write a time like 2026-01-31 08:15, in UTC."
        return moment
