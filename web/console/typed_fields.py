"""Reads the fields of a filter as somebody typed them into a form."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeVar

from posstream.domain.times import parse_utc
from web.console.numbers import read_whole
from web.graphql.context import MAX_TEXT, GraphQLContext, is_customer_id, is_sound

Word = TypeVar("Word", bound=StrEnum)

#: A time as a picker takes it (HTML standard, 2.4.5.5).
_PICKED: Final = "%Y-%m-%dT%H:%M:%S"


class TypedFields:
    """The text of each field. A text that cannot be used stays, and `errors` says why.

    Args:
        typed: by the name of the field; a blank one filters nothing.
    """

    def __init__(self, typed: Mapping[str, str]) -> None:
        self.typed = dict(typed)
        #: By field: why its text cannot be used.
        self.errors: dict[str, str] = {}

    @property
    def is_empty(self) -> bool:
        """Whether no field filters anything."""
        return not any(self.typed.values())

    def word(self, name: str, words: type[Word]) -> Word | None:
        """One of the words of a list."""
        text = self.typed[name]
        if not text:
            return None
        try:
            return words(text)
        except ValueError:
            self.errors[name] = "Choose one of the list."
            return None

    def id(self, name: str, must_be: str = "") -> str | None:
        """An id; `must_be` begins the message."""
        text = self.typed[name]
        if text and not is_sound(text):
            self.errors[name] = f"{must_be}1 to {MAX_TEXT} printable characters."
        return text or None

    def whole(self, name: str) -> int | None:
        """A whole number."""
        text = self.typed[name]
        number = read_whole(text)
        if text and number is None:
            self.errors[name] = "Write a whole number of at most 10 digits."
        return number

    def customer(self, name: str, context: GraphQLContext) -> str | None:
        """The id of a customer; the field may have a reference of ours."""
        known = self.typed[name] and context.references.read(self.typed[name])
        if known and not is_customer_id(known):
            self.errors[name] = f"1 to {MAX_TEXT} characters."
        return known or None

    def moment(self, name: str) -> datetime | None:
        """A time, in UTC unless the text has an offset; the pickers of browsers write none.

        The script gives a picker the reader's own time, and sends UTC.
        """
        text = self.typed[name]
        moment = parse_utc(text) if text else None
        if moment is not None:
            self.typed[name] = f"{moment:{_PICKED}}"
        elif text:
            self.errors[name] = "Write a time like 2026-01-31 08:15, in UTC."
        return moment

    def span(self) -> tuple[datetime | None, datetime | None]:
        """The times of `from` and `to`."""
        since, until = self.moment("from"), self.moment("to")
        if since and until and since >= until:
            self.errors["to"] = "This is not after the start."
        return since, until
