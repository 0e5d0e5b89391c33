"""GraphQL-over-HTTP requests, judged: parameters, media types and origin. Pure but for the body.

The rules are those of the GraphQL over HTTP specification (stage 2 draft).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

MEDIA_JSON: Final = "application/json"
MEDIA_RESPONSE: Final = "application/graphql-response+json"
MEDIA_STREAM: Final = "text/event-stream"
_ACCEPTED: Final = {
    MEDIA_JSON: MEDIA_JSON,
    MEDIA_RESPONSE: MEDIA_RESPONSE,
    "application/*": MEDIA_JSON,
    "*/*": MEDIA_JSON,
}


class BadRequest(Exception):
    """A request that is no GraphQL request; the message says why."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of one GraphQL request."""

    query: str
    operation_name: str | None
    variables: Mapping[str, Any] | None


def read_body(body: bytes) -> Parameters:
    """The parameters of a POST.

    Raises:
        BadRequest: if the body is not what the specification wants.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadRequest("the body is not JSON") from None
    if not isinstance(document, dict):
        raise BadRequest("the body must be a JSON object; batches are not supported")
    return read_parameters(document)


def read_query_string(query: Mapping[str, str]) -> Parameters:
    """The parameters of a GET.

    Raises:
        BadRequest: if they are not what the specification wants.
    """
    document: dict[str, Any] = {
        name: query[name] for name in ("query", "operationName") if name in query
    }
    for name in ("variables", "extensions"):
        if query.get(name):
            try:
                document[name] = orjson.loads(query[name])
            except (orjson.JSONDecodeError, UnicodeEncodeError):
                raise BadRequest(f"{name} is not JSON") from None
    return read_parameters(document)


def read_parameters(document: Mapping[str, Any]) -> Parameters:
    """The parameters in a decoded document.

    Raises:
        BadRequest: if they are not what the specification wants.
    """
    query = document.get("query")
    if query is None or query == "":
        raise BadRequest("query is missing")
    if not isinstance(query, str):
        raise BadRequest("query must be text")
    operation_name = document.get("operationName")
    if operation_name is not None and not isinstance(operation_name, str):
        raise BadRequest("operationName must be text")
    for name in ("variables", "extensions"):
        if not isinstance(document.get(name), dict | None):
            raise BadRequest(f"{name} must be an object")
    # Some clients send "" for none.
    return Parameters(query, operation_name or None, document.get("variables"))


@dataclass(frozen=True, slots=True)
class Accepted:
    """In which forms a client takes an answer."""

    #: One JSON document of this type; None: in a stream only.
    media_type: str | None
    #: An event stream.
    stream: bool

    @property
    def for_refusals(self) -> str:
        """The type of what is said before there is any stream."""
        return self.media_type or MEDIA_JSON


def accepted(accept: str | None) -> Accepted | None:
    """The forms that are wanted of ours, or None if none is."""
    media_type = answer_media_type(accept)
    stream = any(name == MEDIA_STREAM and quality > 0 for name, quality in _wanted(accept or ""))
    return Accepted(media_type, stream) if media_type or stream else None


def answer_media_type(accept: str | None) -> str | None:
    """The media type to answer in: the wanted one of ours, or None if none is wanted."""
    if accept is None or not accept.strip():
        return MEDIA_JSON
    best, best_quality = None, 0.0
    for name, quality in _wanted(accept):
        if name in _ACCEPTED and quality > best_quality:
            best, best_quality = _ACCEPTED[name], quality
    return best


def wants_html(accept: str | None) -> bool:
    """Whether a browser asks for a page."""
    return any(name == "text/html" and quality > 0 for name, quality in _wanted(accept or ""))


def _wanted(accept: str) -> list[tuple[str, float]]:
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
