"""What holds for every request of the web view: errors as JSON, the API key, safe headers."""

import hmac
import http
import ipaddress
import logging
import uuid
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from web.json_answer import error_answer

logger = logging.getLogger(__name__)

#: Pages that need anything beyond plain HTML set their own policy; this one is the default.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_BAD_REQUEST: Final = 400


async def add_safe_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Signal `on_response_prepare`: safe headers, and no banner with version numbers."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.pop("Server", None)


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Any exception as a JSON answer; an unexpected one as a reference into the log."""
    try:
        return await handler(request)
    except web.HTTPException as answer:
        if answer.status < _BAD_REQUEST:
            raise
        return _http_error(answer)
    except Exception:
        reference = new_reference()
        # The route and not the path: a path can hold a customer's identifier.
        logger.exception("%s %s failed, reference %s", request.method, _route(request), reference)
        return error_answer(500, "INTERNAL", "Internal error", reference=reference)


def api_key_required(api_key: str, *, public: frozenset[str]) -> Middleware:
    """A middleware that asks for `Authorization: Bearer KEY`.

    Args:
        api_key: the key.
        public: the route patterns that need none. An unknown path needs the key: without it
            nobody learns which paths exist.
    """
    expected = api_key.encode()

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if _route(request) not in public:
            scheme, _, given = request.headers.get("Authorization", "").partition(" ")
            given_bytes = given.strip().encode("utf-8", "surrogateescape")
            # Compared in constant time: a plain == tells by its duration how much was right.
            if scheme.lower() != "bearer" or not hmac.compare_digest(given_bytes, expected):
                return error_answer(
                    401,
                    "UNAUTHORIZED",
                    "send the header Authorization: Bearer KEY with the key of POSSTREAM_API_KEY",
                    headers={"WWW-Authenticate": "Bearer"},
                )
        return await handler(request)

    return check


def known_host_required(web_host: str) -> Middleware:
    """A middleware for a view without a key: only requests that were sent to this machine by name.

    A page of somebody else's, whose name was made to lead to 127.0.0.1 (DNS rebinding), is of the
    same origin as its requests; by its Host header it is told apart.

    Args:
        web_host: the configured address; it and every loopback name is let in.
    """
    known = {web_host.lower(), "localhost"}

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = (urlsplit(f"//{request.host}").hostname or "").lower()
        if host not in known and not _is_loopback(host):
            return error_answer(
                421,
                "MISDIRECTED_REQUEST",
                "without POSSTREAM_API_KEY only requests to localhost are answered",
            )
        return await handler(request)

    return check


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def new_reference() -> str:
    """An id that stands both in an answer and in the log."""
    return uuid.uuid4().hex[:12]


def _http_error(answer: web.HTTPException) -> web.Response:
    status = http.HTTPStatus(answer.status)
    allow = answer.headers.get("Allow")
    return error_answer(
        answer.status, status.name, status.phrase, headers={"Allow": allow} if allow else None
    )


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return "(no route)" if resource is None else resource.canonical
