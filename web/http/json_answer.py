"""JSON answers of the web view, and the one shape of its HTTP errors."""

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web


def json_answer(
    document: Any,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    media_type: str = "application/json",
) -> web.Response:
    """A document as an HTTP answer in UTF-8."""
    return web.Response(
        body=orjson.dumps(document),
        status=status,
        headers=headers,
        content_type=media_type,
        charset="utf-8",
    )


def error_answer(
    status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None, **more: str
) -> web.Response:
    """An HTTP error as `{"error": {"code", "message", …}}`."""
    document = {"error": {"code": code, "message": message, **more}}
    return json_answer(document, status=status, headers=headers)
