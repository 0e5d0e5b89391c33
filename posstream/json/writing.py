"""Writes JSON; numbers of the directory stay as they were sent. No I/O."""

from typing import Any

import orjson

from posstream.json.sent_number import SentNumber


def write_json(document: Any, *, indented: bool = False) -> bytes:
    """A document as JSON in UTF-8.

    Raises:
        orjson.JSONEncodeError: for what is no JSON, or nested too deep.
    """
    return orjson.dumps(document, _as_sent, orjson.OPT_INDENT_2 if indented else None)


def _as_sent(value: Any) -> orjson.Fragment:
    if isinstance(value, SentNumber):
        return orjson.Fragment(str(value))
    raise TypeError("not a value of JSON")
