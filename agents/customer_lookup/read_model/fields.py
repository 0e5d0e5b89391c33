"""Fields of events as both databases take them."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from posstream.domain.printable import is_id
from posstream.domain.times import parse_utc
from posstream.json.reading import whole_number
from posstream.json.sent_number import SentNumber
from posstream.read_model.columns import MAX_TEXT

Row = dict[str, Any]


_MAX_INT: Final = 2**63 - 1


#: Digits of PostgreSQL's `numeric` before and after the point.
_MOST_WHOLE: Final = 131_072


_MOST_FRACTION: Final = 16_383


class UnusableEventError(ValueError):
    """An event that cannot become rows. The message names a field, never its content."""


def key_of(value: Mapping[str, Any], name: str, *, numbers: bool = False) -> str:
    """An id; `numbers` takes whole numbers, too.

    Raises:
        UnusableEventError: if the field is missing or no id.
    """
    raw = value.get(name)
    if numbers and (whole := whole_number(raw)) is not None:
        return str(whole)
    # `is_id` also refuses NUL and lone surrogates, which no database stores.
    if not isinstance(raw, str) or not is_id(raw, MAX_TEXT):
        raise UnusableEventError(f"{name} is missing or no id")
    return raw


def text_of(value: Mapping[str, Any], name: str, *, limit: int | None = MAX_TEXT) -> str | None:
    """A text, cut to `limit` characters; None if the field is no text."""
    raw = value.get(name)
    return storable(raw)[:limit] if isinstance(raw, str) else None


def storable(text: str) -> str:
    """A text without what no database stores: NUL and lone surrogates."""
    # NUL is unknown to PostgreSQL, and a lone surrogate to UTF-8.
    return text.replace("\0", "").encode(errors="replace").decode()


def whole_of(value: Mapping[str, Any], name: str) -> int | None:
    """A whole number of 64 bits; None if the field is none."""
    raw = value.get(name)
    if isinstance(raw, bool) or not isinstance(raw, int) or abs(raw) > _MAX_INT:
        return None
    return int(raw)


def moment_of(value: Mapping[str, Any], name: str) -> datetime | None:
    """A time; None if the field is absent.

    Raises:
        UnusableEventError: if the field is no time.
    """
    moment = parse_utc(value.get(name))
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
