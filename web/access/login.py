"""Login and logout of the web view: a key opens a session, whose token is kept in a cookie."""

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson
from aiohttp import hdrs, web

from web.access import audit
from web.access.guard import COOKIE, caller_of
from web.access.guessing import Doorkeeper, TooManyGuesses
from web.access.login_page import TOO_MANY, login_page
from web.access.session import SESSION_SECONDS, Sessions
from web.http.answers import error_answer, json_answer
from web.http.reading import is_https, read_form, wants_html

LOGIN_PATH: Final = "/login"
#: A path of ours: `//host` and `/\host` lead elsewhere, and browsers drop blanks and controls.
_LOCAL_PATH: Final = re.compile(r"/(?![/\\])[!-\[\]-~]*|/")
_WRONG: Final = "There is no such key."


class Login:
    """`/login` and `/logout`."""

    def __init__(self, sessions: Sessions, doorkeeper: Doorkeeper) -> None:
        self._sessions = sessions
        self._doorkeeper = doorkeeper

    def routes(self) -> list[web.RouteDef]:
        """The page and its form, which are public, and the logout, which needs a session."""
        return [
            web.get(LOGIN_PATH, self.page),
            web.post(LOGIN_PATH, self.log_in),
            web.post("/logout", self.log_out),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """The form."""
        return login_page(_local(request.query.get("next")))

    async def log_in(self, request: web.Request) -> web.Response:
        """Open a session; redirect a form to `next`, answer JSON with who the caller is."""
        given = await _given(request)
        if given is None:
            return error_answer(
                400, "BAD_REQUEST", 'send {"key": KEY} or a form with the field key'
            )
        by_form = request.content_type != "application/json"
        where = _local(given.get("next"))
        key = given["key"].strip()
        caller = self._doorkeeper.caller(key, request.remote or "", "login")
        if isinstance(caller, TooManyGuesses):
            answer = _refused(429, "TOO_MANY_REQUESTS", TOO_MANY, where, by_form=by_form)
            answer.headers[hdrs.RETRY_AFTER] = str(caller.retry_after)
            return answer
        token = self._sessions.open(key)
        if token is None or caller is None:
            return _refused(401, "UNAUTHORIZED", _WRONG, where, by_form=by_form)
        audit.logged_in(caller, request.remote)
        told = {"name": caller.name, "role": caller.role.label}
        answer = _see_other(where) if by_form else json_answer(told)
        answer.set_cookie(
            COOKIE,
            token,
            max_age=SESSION_SECONDS,
            path="/",
            httponly=True,
            samesite="Strict",
            secure=is_https(request),
        )
        return answer

    async def log_out(self, request: web.Request) -> web.Response:
        """Delete the browser's cookie. A copy of the token stays valid until it expires."""
        audit.logged_out(caller_of(request))
        answer = (
            _see_other(LOGIN_PATH)
            if wants_html(request.headers.get(hdrs.ACCEPT))
            else json_answer({"loggedOut": True})
        )
        answer.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict")
        return answer


async def _given(request: web.Request) -> Mapping[str, str] | None:
    """The fields of the form or the JSON object; None if there is no key among them."""
    if request.content_type == "application/json":
        try:
            fields: Any = orjson.loads(await request.read())
        except orjson.JSONDecodeError:
            return None
    else:
        fields = await read_form(request)
    if not isinstance(fields, Mapping) or not isinstance(fields.get("key"), str):
        return None
    return {name: value for name, value in fields.items() if isinstance(value, str)}


def _local(path: str | None) -> str:
    """The path to redirect to: a path of ours, or the front page."""
    return path if path is not None and _LOCAL_PATH.fullmatch(path) else "/"


def _see_other(path: str) -> web.Response:
    return web.Response(status=303, headers={hdrs.LOCATION: path})


def _refused(status: int, code: str, message: str, where: str, *, by_form: bool) -> web.Response:
    return login_page(where, message, status) if by_form else error_answer(status, code, message)
