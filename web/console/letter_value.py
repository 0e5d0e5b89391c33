"""The value of a dead letter on a page: somebody else wrote it, and it may name a customer."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from posstream.domain.masking import mask_identifier
from posstream.domain.payment_card import mask_payment_cards_in_bytes
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


def shown_value(value: bytes, reveals: Reveals) -> ShownValue:
    """A value as JSON, as text, or as bytes in hexadecimal digits.

    If the page masks, it masks each value in JSON and each word in text. It then shows no bytes at
    all: they may be text in an unknown encoding.
    """
    # posstream masked card numbers in its own letters; another program may have written this one.
    raw = mask_payment_cards_in_bytes(value)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return _bytes(raw, reveals)
    try:
        document = read_json_exactly(raw)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        shown = reveals.show(text) if reveals.in_full else _WORD.sub(_masked, text[:_SHOWN_TEXT])
        return _cut("text", printable(shown[:_SHOWN_TEXT], lines=True), len(text))
    shown = reveals.show_document(document)
    pretty = write_json(
        shown if reveals.in_full else _with_masked_keys(shown), indented=True
    ).decode()
    return _cut("JSON", printable(pretty[:_SHOWN_TEXT], lines=True), len(pretty))


def _bytes(raw: bytes, reveals: Reveals) -> ShownValue:
    if not reveals.in_full:
        return ShownValue("bytes", "", f"{len(raw)} bytes that are no text")
    shown = raw[:_SHOWN_BYTES]
    rows = (shown[at : at + _BYTES_PER_LINE] for at in range(0, len(shown), _BYTES_PER_LINE))
    rest = f"{len(raw) - len(shown)} bytes more" if len(raw) > len(shown) else ""
    return ShownValue("bytes", reveals.show("\n".join(row.hex(" ") for row in rows)), rest)


def _cut(kind: str, text: str, length: int) -> ShownValue:
    rest = f"{length - _SHOWN_TEXT} characters more" if length > _SHOWN_TEXT else ""
    return ShownValue(kind, text, rest)


def _masked(word: re.Match[str]) -> str:
    return mask_identifier(word.group())


def _with_masked_keys(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key if _FIELD.fullmatch(key) else mask_identifier(key): _with_masked_keys(item)
            for key, item in value.items()
        }
    return [_with_masked_keys(item) for item in value] if isinstance(value, list) else value
