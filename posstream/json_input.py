"""JSON of others, read only if it can be written again. No I/O."""

from typing import Any

import orjson

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
