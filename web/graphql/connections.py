"""Lists page by page, after the GraphQL Cursor Connections Specification (Relay).

A cursor names the row that it stands at and not how many came before, so rows that are written
meanwhile shift no page. It is opaque: what is inside may change.
"""

import base64
import binascii
import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

import graphene
import orjson

from web.graphql.context import is_sound, refusal

#: Rows in a page unless asked for otherwise, and at most.
DEFAULT_FIRST: Final = 20
MAX_FIRST: Final = 100
_MAX_CURSOR: Final = 2048

Row = TypeVar("Row")


class PageInfo(graphene.ObjectType):  # graphene is untyped
    """Where a page lies in its list."""

    has_next_page = graphene.Boolean(required=True)
    has_previous_page = graphene.Boolean(
        required=True, description="Whether it was asked for as the page after another one."
    )
    start_cursor = graphene.String()
    end_cursor = graphene.String(description="The `after` of the next page.")


def connection_arguments() -> dict[str, Any]:
    """The arguments of every field that is a connection."""
    return {
        "first": graphene.Int(default_value=DEFAULT_FIRST, description=f"1 to {MAX_FIRST}."),
        "after": graphene.String(description="The cursor of the row before the page."),
    }


def page_size(first: int | None) -> int:
    """The rows that are asked for; an explicit null is the default.

    Raises:
        GraphQLError: BAD_USER_INPUT.
    """
    if first is None:
        return DEFAULT_FIRST
    if not 1 <= first <= MAX_FIRST:
        raise refusal("BAD_USER_INPUT", f"first must be from 1 to {MAX_FIRST}")
    return first


def page(
    rows: Sequence[Row], *, first: int, after: str | None, cursor: Callable[[Row], str]
) -> dict[str, object]:
    """A connection of at most `first` rows; one row more was read to see whether there are more."""
    edges = [_Edge(row, cursor) for row in rows[:first]]
    return {
        "edges": edges,
        "page_info": {
            "has_next_page": len(rows) > first,
            "has_previous_page": after is not None,
            "start_cursor": edges[0].cursor if edges else None,
            "end_cursor": edges[-1].cursor if edges else None,
        },
    }


class _Edge(Generic[Row]):
    """A row in a list; its cursor is made if it is asked for."""

    __slots__ = ("_make", "node")

    def __init__(self, node: Row, make: Callable[[Row], str]) -> None:
        self.node = node
        self._make = make

    @property
    def cursor(self) -> str:
        return self._make(self.node)


def cursor_of(listed: str, *key: str) -> str:
    """The cursor of the row with this key in the list of this name."""
    return base64.urlsafe_b64encode(orjson.dumps([listed, *key])).decode().rstrip("=")


def read_cursor(listed: str, after: str, *, length: int) -> Sequence[str]:
    """The key inside a cursor: as many texts as `length`.

    Raises:
        GraphQLError: BAD_USER_INPUT, for one of another list or one that is broken.
    """
    key: object = None
    if len(after) <= _MAX_CURSOR:
        try:
            padded = after + "=" * (-len(after) % 4)
            key = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        except (binascii.Error, ValueError):
            key = None
    if (
        not isinstance(key, list)
        or len(key) != length + 1
        or key[0] != listed
        or not all(isinstance(part, str) and is_sound(part) for part in key)
    ):
        raise bad_cursor(listed)
    return key[1:]


def place_cursor(listed: str, at: datetime, key: str) -> str:
    """The cursor of a place in a list that is ordered by time and key."""
    return cursor_of(listed, at.isoformat(), key)


def read_place(listed: str, cursor: str) -> tuple[datetime, str]:
    """The time and the key of the place that a cursor names.

    Raises:
        GraphQLError: BAD_USER_INPUT, as `read_cursor`.
    """
    moment, key = read_cursor(listed, cursor, length=2)
    with contextlib.suppress(ValueError):
        at = datetime.fromisoformat(moment)
        # Far from UTC, the first and the last day of the calendar cannot be told in it.
        if at.utcoffset() == timedelta(0):
            return at, key
    raise bad_cursor(listed)


def bad_cursor(listed: str) -> Exception:
    """The error for a cursor that does not belong to this list."""
    return refusal("BAD_USER_INPUT", f"after must be a cursor of {listed}")
