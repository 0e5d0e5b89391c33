"""Lets requests in: by a key, by a session's cookie or, without keys, from this machine."""

import hmac
from collections.abc import Set as AbstractSet
from typing import Final
from urllib.parse import quote, urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from posstream.domain.roles import LOCAL, Caller
from posstream.startup.hosts import is_loopback
from web.access.guessing import Doorkeeper, TooManyGuesses
from web.access.login_page import TOO_MANY, login_page
from web.access.session import Session, Sessions
from web.http.answers import error_answer
from web.http.reading import MEDIA_FORM, is_https, is_same_origin, read_form, route_of, wants_html

#: The cookie that holds a session's token.
COOKIE: Final = "posstream_session"
#: The field of a form that holds the session's form token.
FORM_TOKEN: Final = "form_token"  # noqa: S105 - the name of a field
#: Methods that change nothing (RFC 9110, 9.2.1).
_SAFE: Final = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})
_CALLER: Final = web.RequestKey("caller", Caller)
_SESSION: Final = web.RequestKey("session", Session)


def caller_of(request: web.Request) -> Caller:
    """The caller of a request. Not for public routes: they ask for no key."""
    return request[_CALLER]


def has_caller(request: web.Request) -> bool:
    """Whether the caller of a request is known."""
    return _CALLER in request


def form_token_of(request: web.Request) -> str:
    """The token that every form carries in the field `FORM_TOKEN`; empty without a session."""
    session = request.get(_SESSION)
    return "" if session is None else session.form_token


def session_seconds_left(request: web.Request) -> float | None:
    """Seconds that a stream of this request may last; None (without a session) = no limit."""
    session = request.get(_SESSION)
    return None if session is None else session.seconds_left


def other_origin(request: web.Request) -> web.Response | None:
    """Refuse a request from a page of another origin; None for our own pages and for programs.

    A request without an `Origin` comes from no browser: browsers send one with every request that
    may change something (Fetch, "append a request Origin header"), and with every WebSocket.
    """
    scheme = "https" if is_https(request) else "http"
    origins = request.headers.getall(hdrs.ORIGIN, [])
    if is_same_origin(origins, scheme, request.headers.get(hdrs.HOST)):
        return None
    return _forbidden(
        f"the page is of another origin than this one, which is {scheme}; a proxy with TLS must "
        "pass on Host and set X-Forwarded-Proto: https"
    )


@web.middleware
async def same_origin_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let no page of another origin change anything."""
    refused = None if request.method in _SAFE else other_origin(request)
    return await handler(request) if refused is None else refused


def access_required(
    sessions: Sessions, doorkeeper: Doorkeeper, *, public: AbstractSet[str]
) -> Middleware:
    """A middleware that asks for `Authorization: Bearer KEY` or the cookie of a session.

    A request that changes something by a cookie must come from one of our pages: the `Origin` must
    be ours, and the body JSON or a form with the session's token. A browser without a key or a
    session is shown the login.

    Args:
        sessions: the keys.
        doorkeeper: bounds the guesses.
        public: the route patterns that need no key. An unknown path needs a key: without one
            nobody learns which paths exist.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if route_of(request) in public:
            return await handler(request)
        who = _who(request, sessions, doorkeeper)
        if isinstance(who, web.Response):
            return who
        if isinstance(who, Caller):
            request[_CALLER] = who
            return await handler(request)
        request[_CALLER], request[_SESSION] = who.caller, who
        if request.method not in _SAFE and not await _meant(request, who):
            return _forbidden("send JSON from a page of this origin, or a form with its token")
        return await handler(request)

    return check


def _who(
    request: web.Request, sessions: Sessions, doorkeeper: Doorkeeper
) -> Caller | Session | web.Response:
    """The caller or session of a request, or the answer that refuses the request."""
    address = request.remote or ""
    if hdrs.AUTHORIZATION in request.headers:
        key = _bearer(request)
        caller = doorkeeper.caller(key, address, "request") if key else None
        if isinstance(caller, TooManyGuesses):
            return _too_many(caller, request)
        return caller or _unauthorized()
    token = request.cookies.get(COOKIE, "")
    session = sessions.read(token)
    if session is not None:
        return session
    many = doorkeeper.forged(address, "session") if sessions.is_forged(token) else None
    return _login_needed(request) if many is None else _too_many(many, request)


def known_host_required(web_host: str) -> Middleware:
    """A middleware for a view without a key: accepts only requests whose Host is this machine.

    A foreign page whose host name was made to resolve to 127.0.0.1 (DNS rebinding) has the same
    origin as its requests, but their Host header has the foreign name.

    Args:
        web_host: the configured address; it and every loopback name is let in.
    """
    known = web_host.lower()

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = _host_name(request)
        if host != known and not is_loopback(host):
            return error_answer(
                421,
                "MISDIRECTED_REQUEST",
                "without POSSTREAM_API_KEY only requests to localhost are answered",
            )
        request[_CALLER] = LOCAL
        return await handler(request)

    return check


def _host_name(request: web.Request) -> str:
    """The name in the Host header; empty if there is none that can be read."""
    try:
        return (urlsplit(f"//{request.host}").hostname or "").lower()
    except ValueError:
        return ""


def _bearer(request: web.Request) -> str:
    scheme, _, given = request.headers[hdrs.AUTHORIZATION].partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""


async def _meant(request: web.Request, session: Session) -> bool:
    """Whether one of our pages asked for the change, not a foreign page (CSRF)."""
    if hdrs.ORIGIN not in request.headers:
        return False
    if request.content_type == "application/json":
        return True
    if request.content_type != MEDIA_FORM:
        return False
    token = (await read_form(request)).get(FORM_TOKEN, "")
    return hmac.compare_digest(token.encode(), session.form_token.encode())


def _login_needed(request: web.Request) -> web.Response:
    if not wants_html(request.headers.get(hdrs.ACCEPT)):
        return _unauthorized()
    if request.method not in _SAFE:
        return login_page("/", "Your session is over. Log in, and send the form again.", 401)
    where = "/login?next=" + quote(request.raw_path, safe="/")
    return web.Response(status=303, headers={hdrs.LOCATION: where})


def _unauthorized() -> web.Response:
    return error_answer(
        401,
        "UNAUTHORIZED",
        "send the header Authorization: Bearer KEY with the key of POSSTREAM_API_KEY",
        headers={hdrs.WWW_AUTHENTICATE: "Bearer"},
    )


def _too_many(guesses: TooManyGuesses, request: web.Request) -> web.Response:
    answer: web.Response
    if wants_html(request.headers.get(hdrs.ACCEPT)):
        answer = login_page("/", TOO_MANY, 429)
    else:
        told = "too many wrong keys came from your address"
        answer = error_answer(429, "TOO_MANY_REQUESTS", told)
    answer.headers[hdrs.RETRY_AFTER] = str(guesses.retry_after)
    return answer


def _forbidden(why: str) -> web.Response:
    return error_answer(403, "FORBIDDEN", why)
