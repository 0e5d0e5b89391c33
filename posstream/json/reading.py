"""Reads foreign JSON, and refuses what could not be written again. No I/O."""

import json
from decimal import Decimal
from typing import Any, Final

import orjson

from posstream.json.sent_number import read_fraction, read_whole
from posstream.json.writing import write_json

#: Largest whole number that is read; the smallest is its negative.
MAX_WHOLE: Final = 2**63 - 1
#: A document with at most as many brackets is not checked for depth: it cannot nest deeper.
_SHALLOW = 100


def read_json(raw: bytes) -> Any:
    """Read a JSON document that we may have to publish.

    Raises:
        orjson.JSONDecodeError: if it is no JSON.
        orjson.JSONEncodeError: if it is nested too deep. Deeper than orjson writes (254), with
            room for our own envelopes, it could not be published, and the worker would crash at
            it again and again.
    """
    document = orjson.loads(raw)
    if raw.count(b"{") + raw.count(b"[") > _SHALLOW:
        orjson.dumps([[[document]]])
    return document


def read_json_exactly(raw: bytes) -> Any:
    """Read JSON and keep its numbers as they were sent; `write_json` writes them so.

    orjson makes floats of whole numbers beyond 64 bits and of every fraction, and refuses what
    no float can hold. Those become a `SentNumber`, unless a float says the same digits.

    Raises:
        orjson.JSONDecodeError: as `read_json`.
        orjson.JSONEncodeError: as `read_json`.
    """
    try:
        document = read_json(raw)
    except orjson.JSONDecodeError as why:
        return _beyond_floats(raw, why)
    return _read(raw) if _has_float(document) else document


def _beyond_floats(raw: bytes, why: orjson.JSONDecodeError) -> Any:
    """Read JSON that orjson refused only for a number; for any other, raise orjson's error."""
    try:
        document = _read(raw)
        write_json([[[document]]])
    except (ValueError, ArithmeticError, RecursionError, TypeError):
        raise why from None
    return document


def _read(raw: bytes) -> Any:
    return json.loads(
        raw.decode(), parse_int=read_whole, parse_float=read_fraction, parse_constant=_refuse
    )


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _has_float(document: Any) -> bool:
    if type(document) is dict:  # mostly a flat object
        kinds = set(map(type, document.values()))
        if float in kinds or not (dict in kinds or list in kinds):
            return float in kinds
    left = [document]
    for value in left:
        kind = type(value)
        if kind is float:
            return True
        if kind is dict:
            left.extend(value.values())
        elif kind is list:
            left.extend(value)
    return False


def whole_number(value: Any, *, most: float = MAX_WHOLE) -> int | None:
    """A JSON number without a fraction, however it was written; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    if not -MAX_WHOLE <= value <= most or value % 1:
        return None
    return int(value)
