"""Reads fields of events as values that both databases take."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import JSON, BigInteger, Column, String, Table, Text

from posstream.domain.customer import scrub
from posstream.domain.payment_card import mask_payment_cards
from posstream.domain.printable import is_id
from posstream.json.sent_number import SentNumber
from posstream.read_model.columns import MAX_TEXT
from posstream.read_model.stored_time import stored_from_json

Row = dict[str, Any]


_MAX_INT: Final = 2**63 - 1
#: Digits of PostgreSQL's `numeric` before and after the point.
_MOST_WHOLE: Final = 131_072
_MOST_FRACTION: Final = 16_383


class UnusableEventError(ValueError):
    """An event that cannot become rows. The message names a field, never its content."""


#: Reads the field of a name out of an event.
Reader = Callable[[Mapping[str, Any], str], Any]


def readers(table: Table, *models: type[Struct]) -> Mapping[str, Reader]:
    """How each column of a table is read from an event that has a field of its name.

    A required text is a key: without it there is no row. Any other field that a column cannot take
    counts as absent, for events of older versions and of foreign writers are read as well.

    Args:
        table: its columns say what they can take.
        models: of the events that become rows of the table.
    """
    fields = {name for model in models for name in model.__struct_fields__} - {"event_type"}
    return {
        # A plain text: orjson refuses SQLAlchemy's own kind as a key.
        str(column.name): _reader(column)
        for column in table.columns
        if column.name in fields
    }


def read_row(readers: Mapping[str, Reader], value: Mapping[str, Any]) -> Row:
    """The columns of one event.

    Raises:
        UnusableEventError: if a key is missing or no id, or a time cannot be read.
    """
    return {name: read(value, name) for name, read in readers.items()}


def _reader(column: Column[Any]) -> Reader:
    match column.type:
        case Text():
            return _long_text_of
        case String():
            return text_of if column.nullable else key_of
        case BigInteger():
            return whole_of
        case JSON():
            return document_of
        case _:
            return moment_of


def key_of(value: Mapping[str, Any], name: str) -> str:
    """An id.

    Raises:
        UnusableEventError: if the field is missing or no id.
    """
    raw = value.get(name)
    # `is_id` also refuses NUL and lone surrogates, which no database stores.
    if not isinstance(raw, str) or not is_id(raw, MAX_TEXT):
        raise UnusableEventError(f"{name} is missing or no id")
    return raw


def text_of(value: Mapping[str, Any], name: str) -> str | None:
    """A short text, cut to its column; None if the field is no text."""
    raw = value.get(name)
    return storable(raw)[:MAX_TEXT] if isinstance(raw, str) else None


def _long_text_of(value: Mapping[str, Any], name: str) -> str | None:
    # posstream writes no card number there, but others can write to its topics.
    raw = value.get(name)
    return mask_payment_cards(storable(raw)) if isinstance(raw, str) else None


def document_of(value: Mapping[str, Any], name: str) -> Any:
    """A JSON value that both databases take, without payment-card numbers."""
    return scrub(plain(value.get(name)))


def storable(text: str) -> str:
    """A text without what no database stores: NUL and lone surrogates."""
    # NUL is unknown to PostgreSQL, and a lone surrogate to UTF-8.
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "").encode(errors="replace").decode()


def whole_of(value: Mapping[str, Any], name: str) -> int | None:
    """A whole number of 64 bits; None if the field is no such number."""
    raw = value.get(name)
    if isinstance(raw, bool) or not isinstance(raw, int) or abs(raw) > _MAX_INT:
        return None
    return int(raw)


def moment_of(value: Mapping[str, Any], name: str) -> str | None:
    """A time as it is `stored`; None if the field is absent.

    Raises:
        UnusableEventError: if the field is no time.
    """
    moment = stored_from_json(value.get(name))
    if moment is None and value.get(name) is not None:
        raise UnusableEventError(f"{name} is no ISO-8601 time")
    return moment


def plain(value: Any) -> Any:
    """A JSON value that both databases take."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {storable(str(name)): plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, SentNumber) and not _fits(value):
        return str(value)
    if value is None or isinstance(value, int | float | SentNumber):
        return value
    raise UnusableEventError("a value is not JSON")


def _fits(number: SentNumber) -> bool:
    """Whether a number fits into PostgreSQL's `numeric`, which `jsonb` uses, too."""
    exponent = number.as_tuple().exponent
    return number.adjusted() < _MOST_WHOLE and -int(exponent) <= _MOST_FRACTION
