"""Converts an HTTP answer's JSON to UTF-8 from the charset that the server names. No I/O."""

import json
import re
from encodings import normalize_encoding
from encodings.aliases import aliases
from functools import lru_cache
from typing import Final

from posstream.domain.payment_card import holds_payment_card

#: Labels that Python does not know, or not by this name or on every system.
_LABELS: Final = {
    "ansi": "cp1252",
    "cp874": "cp874",
    "iso_8859_8_e": "iso8859_8",
    "iso_8859_8_i": "iso8859_8",
    "koi8_u": "koi8_u",
    "unicode_1_1_utf_8": "utf_8",
    "utf8mb3": "utf_8",
    "utf8mb4": "utf_8",
    "utf_8_sig": "utf_8",
    "windows_31j": "cp932",
}
#: Prefixes of charset names that Python does not know, and what replaces each.
_PREFIXES: Final = (("x_", ""), ("windows_", "cp"))
#: Signs of cp1252 that are control characters in Latin-1, which no text in JSON has.
_NOT_IN_LATIN_1: Final = re.compile(rb"[\x80-\x9f]")
#: Charset -> the wider one to read with if the text does not fit: servers often mix them up.
_WIDER: Final = {
    "ascii": "utf_8",
    "euc_kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "latin_1": "cp1252",
    "shift_jis": "cp932",
}
#: UTF-8 as `json.detect_encoding` spells it.
_UTF_8: Final = "utf-8"
#: Longest label that an error message repeats: the server chose the label.
_LONGEST_LABEL: Final = 40


class UnreadableText(ValueError):
    """The body cannot be decoded as text; the message is a sentence that says why."""


def utf8_of(body: bytes, charset: str | None) -> bytes:
    """Convert a JSON body to UTF-8 without a byte order mark; a UTF-8 body is not validated.

    A byte order mark, or the zero bytes of JSON in UTF-16 and UTF-32, overrule the header. Without
    them the header's charset counts; without a header, UTF-8 (RFC 8259, 8.1).

    Args:
        body: the answer's bytes.
        charset: the one in its Content-Type; None if there is none.

    Raises:
        UnreadableText: if the charset is unknown, or the body is not in it.
    """
    seen = json.detect_encoding(body)
    encoding = _encoding(charset) if seen == _UTF_8 and charset is not None else seen
    if encoding == _UTF_8:
        return body
    for each in (encoding, _WIDER.get(encoding)):
        if each == "latin_1" and _NOT_IN_LATIN_1.search(body):
            continue
        try:
            return body.decode(each or encoding).encode()
        except UnicodeError:
            continue
        except LookupError:  # base64 and other codecs that are no text encoding
            break
    raise UnreadableText(f"the answer is not in its charset {_shown(charset or encoding)}")


@lru_cache(maxsize=64)  # each answer asks
def _encoding(charset: str) -> str:
    label = normalize_encoding(charset.lower()).replace(".", "_")
    for prefix, meant in _PREFIXES:
        if label not in aliases and label not in _LABELS and label.startswith(prefix):
            label = meant + label.removeprefix(prefix)
    known = _LABELS.get(label) or aliases.get(label)
    # A name that is no alias is only looked up if Python has it: a lookup is remembered for ever.
    if known is None and label in aliases.values():
        known = label
    if known is None:
        raise UnreadableText(f"the charset {_shown(charset)} of the answer is unknown")
    return _UTF_8 if known == "utf_8" else known


def _shown(label: str) -> str:
    plain = label.isascii() and label.isprintable() and len(label) <= _LONGEST_LABEL
    shown = plain and not holds_payment_card(label)
    return label if shown else "that its Content-Type says"
