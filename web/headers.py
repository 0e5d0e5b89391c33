"""What the headers of a request say: the media types that are wanted, and the origin. Pure."""

from typing import Final
from urllib.parse import urlsplit

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


def is_same_origin(origin: str | None, host: str | None) -> bool:
    """Whether a browser's page may send this: it came from here, or from no browser at all."""
    if origin is None:
        return True
    try:
        netloc = urlsplit(origin).netloc
    except ValueError:
        return False
    return bool(netloc) and netloc.lower() == (host or "").lower()
