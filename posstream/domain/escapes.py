"""Decodes the escapes in a text (JSON, URL, HTML), also those within escapes. Pure.

Each reading knows where its characters stand in the text, so a character can be masked in place.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html.entities import html5
from typing import Final

#: How often escapes within escapes are decoded (`&amp;#52;`, `%2520`, JSON in JSON).
_ROUNDS: Final = 4
_ESCAPE: Final = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a surrogate pair
    r"|[\\%]u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\[bfnrt/\\\"']"
    r"|(?:%[0-9a-fA-F]{2})+"
    r"|&#[0-9]{1,7};?|&#[xX][0-9a-fA-F]{1,6};?|&[A-Za-z]{2,31};"
)
_SHORT: Final = dict(zip("bfnrt", "\b\f\n\r\t", strict=True))
_LAST: Final = 0x10FFFF


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a text: its characters, and where each starts and ends in the text."""

    text: str
    starts: Sequence[int]
    ends: Sequence[int]


def has_escapes(text: str) -> bool:
    """Whether there may be an escape in a text."""
    return "%" in text or "&" in text or "\\" in text


def readings(text: str) -> Iterator[Reading]:
    """The text as it stands, then decoded once, twice, until nothing is left to decode."""
    reading = Reading(text, range(len(text)), range(1, len(text) + 1))
    yield reading
    for _ in range(_ROUNDS):
        if not has_escapes(reading.text) or not _ESCAPE.search(reading.text):
            return
        reading = _decoded(reading)
        yield reading


def _decoded(reading: Reading) -> Reading:
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    copied = 0
    for escape in _ESCAPE.finditer(reading.text):
        at, end = escape.span()
        meaning, lengths = _meaning(escape.group())
        parts += (reading.text[copied:at], meaning)
        starts += reading.starts[copied:at]
        ends += reading.ends[copied:at]
        for length in lengths:
            starts.append(reading.starts[at])
            at += length
            ends.append(reading.ends[at - 1])
        copied = end
    parts.append(reading.text[copied:])
    starts += reading.starts[copied:]
    ends += reading.ends[copied:]
    return Reading("".join(parts), starts, ends)


def _meaning(escape: str) -> tuple[str, Sequence[int]]:
    """The meaning of an escape, and how many characters write each character of the meaning."""
    if escape[0] == "&":
        meaning = _entity(escape)
    elif escape[1] == "u":
        code = bytes.fromhex(escape[2:6] + escape[8:])
        meaning = code.decode("utf-16-be", "surrogatepass")
    elif escape[0] == "%":
        meaning = bytes.fromhex(escape.replace("%", "")).decode(errors="surrogateescape")
        if meaning.isascii():
            return meaning, [3] * len(meaning)
        return meaning, [3 * len(sign.encode(errors="surrogateescape")) for sign in meaning]
    elif escape[1] == "x":
        meaning = bytes.fromhex(escape[2:]).decode("latin-1")
    else:
        meaning = _SHORT.get(escape[1], escape[1])
    return meaning, [len(escape)]


def _entity(escape: str) -> str:
    if escape[1] != "#":
        # A few stand for two characters; the second one is no digit.
        return html5.get(escape[1:], escape)[0]
    name = escape[2:].rstrip(";")
    code = int(name[1:], 16) if name[0] in "xX" else int(name)
    return chr(code) if code <= _LAST else escape[0]
