"""GraphQL-over-HTTP requests, judged: parameters and media types. Pure but for the body.

The rules are those of the GraphQL over HTTP specification (stage 2 draft).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from web.http.reading import MEDIA_STREAM, qualities

MEDIA_JSON: Final = "application/json"
MEDIA_RESPONSE: Final = "application/graphql-response+json"
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
        """The media type of a refusal before a stream begins."""
        return self.media_type or MEDIA_JSON


def accepted(accept: str | None) -> Accepted | None:
    """Those of our forms that the client accepts; None if it accepts none."""
    media_type = answer_media_type(accept)
    stream = any(name == MEDIA_STREAM and quality > 0 for name, quality in qualities(accept or ""))
    return Accepted(media_type, stream) if media_type or stream else None


def answer_media_type(accept: str | None) -> str | None:
    """The media type to answer in, one of ours that the client accepts; None if there is none."""
    if accept is None or not accept.strip():
        return MEDIA_JSON
    best, best_quality = None, 0.0
    for name, quality in qualities(accept):
        if name in _ACCEPTED and quality > best_quality:
            best, best_quality = _ACCEPTED[name], quality
    return best
