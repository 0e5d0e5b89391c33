"""Reads requests: the media types that are wanted, the origin, and the fields of a form."""

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web

#: The port of a URL that names none, by its scheme.
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
MEDIA_STREAM: Final = "text/event-stream"
#: The one kind of form that our pages send.
MEDIA_FORM: Final = "application/x-www-form-urlencoded"
#: More fields than any form of ours has.
_MAX_FIELDS: Final = 200


def wants_html(accept: str | None) -> bool:
    """Whether a browser asks for a page."""
    return any(name == "text/html" and quality > 0 for name, quality in qualities(accept or ""))


def qualities(accept: str) -> list[tuple[str, float]]:
    """The media types of an `Accept`, each with its quality; 0: not this one."""
    wanted = []
    for item in accept.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = float(parameter.removeprefix("q="))
                except ValueError:
                    quality = 0.0
        wanted.append((name, quality))
    return wanted


def is_same_origin(origins: Sequence[str], scheme: str, host: str | None) -> bool:
    """Whether a request came from one of our pages, or from no browser at all.

    Args:
        origins: every `Origin` of the request; `null` is that of a page without any.
        scheme: `http` or `https`, as the browser speaks it.
        host: the `Host` of the request.
    """
    if not origins:
        return True
    own = _origin(f"{scheme}://{host or ''}")
    return own is not None and [own] == [_origin(origin) for origin in origins]


def _origin(text: str) -> tuple[str, str, int | None] | None:
    """Scheme, host and port of a serialised origin (HTML standard, 7.1.1); None if it is none."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or parts.username is not None or parts.path or parts.query or parts.fragment:
        return None
    scheme = parts.scheme.lower()
    return scheme, host, port or DEFAULT_PORTS.get(scheme)


def is_https(request: web.Request) -> bool:
    """Whether the browser speaks TLS, to us or to a proxy in front that says so.

    No page can make a browser send this header, so the check of a page's origin may trust it. A
    client that forges the header only makes its own cookie `Secure`.
    """
    forwarded = request.headers.get("X-Forwarded-Proto", "").partition(",")[0]
    return request.secure or forwarded.strip().lower() == "https"


def route_of(request: web.Request) -> str:
    """The pattern of its route, for the log: a path can hold a customer's identifier."""
    resource = request.match_info.route.resource
    return "(no route)" if resource is None else resource.canonical


async def read_form(request: web.Request) -> Mapping[str, str]:
    """The fields of a form by name, the first of each name; none if the body is empty.

    The form is read as UTF-8, and quoted bytes that are not UTF-8 are replaced (URL standard,
    "application/x-www-form-urlencoded parsing"). So no field holds a lone surrogate.

    Raises:
        web.HTTPBadRequest: if the body is no such form.
        web.HTTPRequestEntityTooLarge: if it is too long.
    """
    body = await request.read()
    if not body:
        return {}
    try:
        charset = (request.charset or "utf-8").lower()
        if request.content_type != MEDIA_FORM or charset != "utf-8":
            raise web.HTTPBadRequest(reason=f"send the form as {MEDIA_FORM} in UTF-8")
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        why = f"the form is not in UTF-8, or has more than {_MAX_FIELDS} fields"
        raise web.HTTPBadRequest(reason=why) from None
    return dict(reversed(pairs))
