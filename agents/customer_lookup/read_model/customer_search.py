"""Finds customers by a part of what is known of them: names, addresses, identifiers, ids."""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from sqlalchemy import ColumnElement, or_, select

from agents.customer_lookup.read_model.schema import CUSTOMER_IDENTIFIERS, CUSTOMERS
from posstream.domain.identifier import Identifier, normalise
from posstream.domain.masking import is_personal
from posstream.domain.search import folded

_BLANK: Final = re.compile(r"\s")


def is_searched(search: str, *, names_only: bool, ignores_case: bool) -> ColumnElement[bool]:
    """The condition that a customer is found by a text, in any writing.

    Args:
        search: part of a name (`Doe, John` too), e-mail, phone, identifier or customer_id.
        names_only: search names and whole customer_ids alone.
        ignores_case: whether LIKE of the database ignores the case of ASCII letters.
    """
    if not names_only:
        found = _is_found_by(search, ignores_case=ignores_case)
        return or_(found, *_is_named_last_first(search))
    # A caller who sees only names sees an id, too, unless it is a phone or an e-mail address.
    whole_id = [] if is_personal(search) else [CUSTOMERS.c.customer_id == search.strip()]
    return or_(_is_named(search), *_is_named_last_first(search), *whole_id)


def _is_found_by(search: str, *, ignores_case: bool) -> ColumnElement[bool]:
    """The condition that a name, an e-mail, a phone, an identifier or an id contains the text.

    Each pattern is one more look at every row, so there are as few as possible.

    Args:
        search: the text.
        ignores_case: whether LIKE ignores the case of ASCII letters.
    """
    parts = _spellings(search)
    # An id or a normalised identifier is in one case throughout, as a rule: that is twice as fast
    # as folding each.
    ids = {search.strip(), *parts, *(part.upper() for part in parts)}
    if ignores_case:
        ids = {it.lower() if it.isascii() else it for it in ids}
    identifiers = {it for it in ids if not _BLANK.search(it)}  # a normalised one has none
    normal = normalise(search, card_guard=False)
    if isinstance(normal, Identifier):
        parts.add(normal.value.casefold())
        identifiers.add(normal.value)
    found = [_contains(CUSTOMERS.c.search_text, parts), _contains(CUSTOMERS.c.customer_id, ids)]
    if identifiers:
        aliases = select(CUSTOMER_IDENTIFIERS.c.customer_id).where(
            _contains(CUSTOMER_IDENTIFIERS.c.identifier, identifiers)
        )
        found.append(CUSTOMERS.c.customer_id.in_(aliases))
    return or_(*found)


def _is_named(search: str) -> ColumnElement[bool]:
    """The condition that the name contains the text.

    The name is the first of the three lines that are searched: two more come after it.
    """
    text = CUSTOMERS.c.search_text
    parts = sorted(map(_escaped, _spellings(search)))
    return or_(*(text.like(f"%{part}%\n%\n%", escape="/") for part in parts))


def _is_named_last_first(search: str) -> Iterable[ColumnElement[bool]]:
    """The condition that a name is the one of a text like `Doe, John`; none for other texts."""
    last, comma, first = map(_escaped, folded(search).partition(","))
    if comma and last.strip() and first.strip():
        pattern = f"{first.strip()}%{last.strip()}%\n%\n%"
        yield CUSTOMERS.c.search_text.like(pattern, escape="/")


def _escaped(part: str) -> str:
    """A part of a text for LIKE."""
    return re.sub(r"([/%_])", r"/\1", part)


def _spellings(search: str) -> set[str]:
    """The spellings of a text in rows: folded, or only case-folded (rows of earlier releases)."""
    text = " ".join(search.split())
    before = {unicodedata.normalize(form, text).casefold() for form in ("NFC", "NFD")}
    return {folded(text), *before}


def _contains(column: ColumnElement[str], parts: Iterable[str]) -> ColumnElement[bool]:
    return or_(*(column.contains(part, autoescape=True) for part in sorted(parts)))
