"""Renders the login: the one page for people who have not logged in."""

import secrets
from typing import Final

from aiohttp import web
from jinja2 import Environment, PackageLoader

TOO_MANY: Final = "Too many attempts from your address. Wait a minute."
_PAGES: Final = Environment(
    loader=PackageLoader("web.access"), autoescape=True, keep_trailing_newline=True
)


def login_page(where: str, message: str = "", status: int = 200) -> web.Response:
    """The form that asks for a key.

    Args:
        where: the path to go to afterwards.
        message: what is wrong.
        status: the HTTP status.
    """
    nonce = secrets.token_urlsafe(16)
    text = _PAGES.get_template("login.html").render(nonce=nonce, next=where, message=message)
    headers = {
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'nonce-{nonce}'; img-src data:; "
            "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        ),
        # With `no-referrer` a browser sends a form as from the origin "null" (Fetch).
        "Referrer-Policy": "same-origin",
    }
    return web.Response(text=text, content_type="text/html", status=status, headers=headers)
