"""Reads the filters of a list that are texts; a refusal names the argument."""

from collections.abc import Mapping
from datetime import datetime

from posstream.domain.times import parse_utc
from web.graphql.context import (
    MAX_TEXT,
    GraphQLContext,
    is_customer_id,
    is_sound,
    read_customer_id,
    refusal,
)


def given_texts(texts: Mapping[str, str | None]) -> dict[str, str]:
    """The filters that filter something; a blank one filters nothing."""
    return {name: text for name, text in texts.items() if text and text.strip(" ")}


def read_id(given: Mapping[str, str], name: str, argument: str) -> str | None:
    """An id.

    Raises:
        GraphQLError: BAD_USER_INPUT.
    """
    text = given.get(name)
    if text is not None and not is_sound(text):
        raise refusal("BAD_USER_INPUT", f"{argument} must be 1 to {MAX_TEXT} printable characters")
    return text


def read_customer(context: GraphQLContext, given: Mapping[str, str], what: str) -> str | None:
    """The customer of `customer_id`, which may be a reference of ours.

    Args:
        context: of the query.
        given: the filters.
        what: the field of the query, for the log.

    Raises:
        GraphQLError: BAD_USER_INPUT, or TOO_MANY_LOOKUPS.
    """
    reference = given.get("customer_id")
    if reference is None:
        return None
    known = read_customer_id(context, reference, what)
    if not is_customer_id(known):
        raise refusal("BAD_USER_INPUT", f"customerId must be 1 to {MAX_TEXT} characters")
    return known


def read_moment(given: Mapping[str, str], name: str) -> datetime | None:
    """A time.

    Raises:
        GraphQLError: BAD_USER_INPUT.
    """
    text = given.get(name)
    moment = None if text is None else parse_utc(text)
    if text is not None and moment is None:
        raise refusal("BAD_USER_INPUT", f"{name} must be a time like 2026-01-31T08:15:00Z")
    return moment
