"""JSON of others, read only if it can be written again. No I/O."""

from decimal import Decimal
from typing import Any, Final

import orjson

#: Largest whole number that is read, and by its negative the smallest.
MAX_WHOLE: Final = 2**63 - 1
#: As deep as a document is read without a second look: its brackets cannot nest deeper.
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


def whole_number(value: Any, *, most: float = MAX_WHOLE) -> int | None:
    """A JSON number without a fraction, however it was written; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    if not -MAX_WHOLE <= value <= most or value % 1:
        return None
    return int(value)
