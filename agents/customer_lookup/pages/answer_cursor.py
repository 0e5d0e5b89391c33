"""A place in the list of answers, as it stands in a URL."""

from datetime import datetime, timedelta
from typing import Final

from graphql import GraphQLError

from agents.customer_lookup.read_model.records import AnswerPosition, AnswerRow
from web.graphql.connections import cursor_of, read_cursor

_LISTED: Final = "lookupAnswers"


def cursor_at(row: AnswerRow) -> str:
    """The place of a row."""
    return cursor_of(_LISTED, row.occurred_at.isoformat(), row.event_id)


def read_place(cursor: str) -> AnswerPosition | None:
    """The place that a cursor names; None if it is none of this list's."""
    try:
        moment, event_id = read_cursor(_LISTED, cursor, length=2)
        occurred_at = datetime.fromisoformat(moment)
    except (GraphQLError, ValueError):
        return None
    # Far from UTC, the first and the last day of the calendar cannot be told in it.
    if occurred_at.utcoffset() != timedelta(0):
        return None
    return AnswerPosition(occurred_at, event_id)
