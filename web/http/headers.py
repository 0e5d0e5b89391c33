"""What the headers of a request say: the media types that are wanted, and the origin. Pure."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

#: The port of a URL that names none, by its scheme.
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
MEDIA_STREAM: Final = "text/event-stream"


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
    """Whether a browser's page may send this: it came from here, or from no browser at all.

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
