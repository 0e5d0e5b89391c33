"""The answers of the web view: JSON, one shape of errors, safe headers, no banner."""

import http
import logging
import uuid
from collections.abc import Mapping
from typing import Any, Final

import orjson
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from posstream.domain.errors import DatabaseAway, ReadModelBusy
from posstream.logs.noise import ONCE_A_MINUTE
from posstream.plugins.status import PluginUnavailable
from web.http.reading import is_https, route_of

logger = logging.getLogger(__name__)

#: Pages that need anything beyond plain HTML set their own policy; this one is the default.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SAFE_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}
#: For a year. Sent over TLS only: a browser must not be sent to a port without TLS (RFC 6797).
_TRANSPORT_SECURITY: Final = "max-age=31536000"
_BAD_REQUEST: Final = 400
#: How a body may be encoded; the parser decodes it.
_ENCODINGS: Final = frozenset({"identity", "gzip", "deflate"})
UNREADABLE_BODY: Final = "the body is not encoded as its headers say"
#: What a caller is told while the database is away; the reason is the operator's, in the log.
AWAY: Final = "the database is away: tills are answered, try again later"

#: What is answered with 503: something that cannot be used for now.
REFUSALS: Final = (ReadModelBusy, DatabaseAway, PluginUnavailable)


class ErrorAnswer(web.Response):
    """An HTTP error in JSON. The console shows browsers a page of it instead.

    Attributes:
        code: for programs.
        message: for people, without a capital letter and a full stop.
        reference: into the log; empty if there is nothing more to know.
    """

    code: str
    message: str
    reference: str


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
    status: int,
    code: str,
    message: str,
    *,
    headers: Mapping[str, str] | None = None,
    reference: str = "",
) -> ErrorAnswer:
    """An HTTP error as `{"error": {"code", "message"}}`, with a `reference` if there is one."""
    error = {"code": code, "message": message} | ({"reference": reference} if reference else {})
    answer = ErrorAnswer(
        body=orjson.dumps({"error": error}),
        status=status,
        headers=headers,
        content_type="application/json",
        charset="utf-8",
    )
    answer.code, answer.message, answer.reference = code, message, reference
    return answer


async def add_safe_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Signal `on_response_prepare`: safe headers, and no banner with version numbers."""
    for name, value in SAFE_HEADERS.items():
        response.headers.setdefault(name, value)
    if is_https(request):
        response.headers.setdefault("Strict-Transport-Security", _TRANSPORT_SECURITY)
    response.headers.pop(hdrs.SERVER, None)


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Any exception as a JSON answer; an unexpected one as a reference into the log."""
    try:
        if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() not in _ENCODINGS:
            return unsupported_encoding()
        return await handler(request)
    except web.HTTPException as answer:
        if answer.status < _BAD_REQUEST:
            raise
        return _http_error(answer)
    except web.RequestPayloadError:
        return error_answer(400, "BAD_REQUEST", UNREADABLE_BODY)
    except (Exception, SystemExit) as why:  # a plugin may raise anything
        if told := unavailable(route_of(request), why):
            return error_answer(503, *told)
        if isinstance(why, ConnectionError) and request.transport is None:
            raise  # the client has gone, maybe with half of its body unsent
        reference = new_reference()
        # The route and not the path: a path can hold a customer's identifier.
        logger.exception("%s %s failed, reference %s", request.method, route_of(request), reference)
        return error_answer(500, "INTERNAL", "Internal error", reference=reference)


def unsupported_encoding() -> web.Response:
    """The answer to a body in an encoding that is not read (RFC 9110, 15.5.16)."""
    return error_answer(
        415,
        "UNSUPPORTED_MEDIA_TYPE",
        "the Content-Encoding of the body is not read: leave it out, or send gzip or deflate",
        headers={hdrs.ACCEPT_ENCODING: "gzip, deflate"},
    )


def new_reference() -> str:
    """An id that stands both in an answer and in the log."""
    return uuid.uuid4().hex[:12]


def unavailable(where: str, why: BaseException | None) -> tuple[str, str] | None:
    """The code and the message for what does not answer now; None for any other error."""
    if isinstance(why, ReadModelBusy):
        return "BUSY", str(why)
    if isinstance(why, PluginUnavailable):
        return why.code, str(why)
    if isinstance(why, DatabaseAway):
        logger.warning("%s: the database is away: %s", where, why, extra=ONCE_A_MINUTE)
        return "DATABASE_AWAY", AWAY
    return None


def _http_error(answer: web.HTTPException) -> web.Response:
    status = http.HTTPStatus(answer.status)
    allow = answer.headers.get("Allow")
    # Only our own handlers give a reason; by itself aiohttp says the status once more.
    message = status.phrase if answer.reason == status.phrase else answer.reason
    return error_answer(
        answer.status, status.name, message, headers={"Allow": allow} if allow else None
    )
