"""The value of a record as a page shows it: JSON, text or bytes, masked unless it is revealed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from posstream.domain.masking import is_personal, mask_identifier
from posstream.domain.payment_card import holds_payment_card, mask_payment_cards_in_bytes
from posstream.domain.printable import printable
from posstream.json.reading import read_json_exactly
from posstream.json.writing import write_json
from web.access.reveals import Reveals

#: How much is shown: of text in characters, of anything else in bytes.
_SHOWN_TEXT: Final = 64 * 1024
_SHOWN_BYTES: Final = 1024
_BYTES_PER_LINE: Final = 16
_WORD: Final = re.compile(r"\S+")
#: A key that is the name of a field and no personal data.
_FIELD: Final = re.compile(r"[A-Za-z_]{1,64}[0-9]?")


@dataclass(frozen=True, slots=True)
class ShownValue:
    """The part of a value that is shown."""

    kind: str
    text: str
    #: What is left out; empty if nothing is.
    rest: str = ""


def shown_value(
    value: bytes, reveals: Reveals, *, plain: frozenset[str] = frozenset()
) -> ShownValue:
    """A value as JSON, as text, or as bytes in hexadecimal digits.

    Masked, each value in JSON and each word in text is; bytes are not shown at all, for they may
    be text in an encoding that we do not know.

    Args:
        value: of a record.
        reveals: whether it is masked.
        plain: outermost keys in JSON whose values are shown all the same, but phones, e-mail
            addresses and payment cards.
    """
    # posstream masked them already; a letter may be somebody else's.
    raw = mask_payment_cards_in_bytes(value)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return _bytes(raw, reveals)
    try:
        document = read_json_exactly(raw)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        shown = (
            reveals.show(text) if reveals.in_full else _WORD.sub(_masked_word, text[:_SHOWN_TEXT])
        )
        return _cut("text", printable(shown[:_SHOWN_TEXT], lines=True), len(text))
    shown = reveals.show_document(document) if reveals.in_full else _masked(document, plain)
    pretty = write_json(shown, indented=True).decode()
    return _cut("JSON", printable(pretty[:_SHOWN_TEXT], lines=True), len(pretty))


def _bytes(raw: bytes, reveals: Reveals) -> ShownValue:
    if not reveals.in_full:
        return ShownValue("bytes", "", f"{len(raw)} bytes that are not text")
    shown = raw[:_SHOWN_BYTES]
    rows = (shown[at : at + _BYTES_PER_LINE] for at in range(0, len(shown), _BYTES_PER_LINE))
    rest = f"{len(raw) - len(shown)} bytes more" if len(raw) > len(shown) else ""
    return ShownValue("bytes", reveals.show("\n".join(row.hex(" ") for row in rows)), rest)


def _cut(kind: str, text: str, length: int) -> ShownValue:
    rest = f"{length - _SHOWN_TEXT} characters more" if length > _SHOWN_TEXT else ""
    return ShownValue(kind, text, rest)


def _masked_word(word: re.Match[str]) -> str:
    return mask_identifier(word.group())


def _masked(value: Any, plain: frozenset[str] = frozenset()) -> Any:
    """A JSON value that names nobody: what it says and, unless they are names of fields, keys."""
    if isinstance(value, Mapping):
        return {
            name if _FIELD.fullmatch(name) else mask_identifier(name): (
                item if name in plain and _is_plain(item) else _masked(item)
            )
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return value if value is None or isinstance(value, bool) else mask_identifier(str(value))


def _is_plain(value: Any) -> bool:
    text = str(value)
    is_nested = isinstance(value, Mapping | list)
    return not (is_nested or is_personal(text) or holds_payment_card(text))
