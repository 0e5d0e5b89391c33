"""Reads the ordinary answer of a directory in one step. Pure.

An ordinary answer has the contract's fields under their own names and with their own types; it
may have more fields, and lack some. `judge_fields` reads all other answers. A test compares both.
"""

import re
from decimal import Decimal
from typing import Annotated, Any, Final

from msgspec import Meta, Struct, ValidationError, convert

from posstream.domain.customer import CUSTOMER_FIELDS, MAX_TEXT, Customer
from posstream.domain.times import parse_utc

_Text = Annotated[str, Meta(max_length=MAX_TEXT)]
_FIELDS: Final = frozenset(CUSTOMER_FIELDS)
#: Money as the contract writes it.
_MONEY: Final = re.compile(r"(?:0|[1-9][0-9]{0,11})\.[0-9]{2}")
_NO_MONEY: Final = Decimal("0.00")


class _Fields(Struct):
    customer_id: _Text
    first_name: _Text | None = None
    last_name: _Text | None = None
    email: _Text | None = None
    phone: _Text | None = None
    loyalty_points: Annotated[int, Meta(ge=-(2**63 - 1), le=2**63 - 1)] | None = None
    tier: _Text | None = None
    total_purchases: str | None = None
    last_purchase_date: str | None = None


def ordinary_customer(document: object) -> Customer | None:
    """The customer of an answer that `scrub` would not change; None if it is not ordinary."""
    if type(document) is not dict:
        return None
    try:
        said = convert(document, _Fields)
    except ValidationError:
        return None
    customer_id, money, bought_at = said.customer_id, said.total_purchases, said.last_purchase_date
    texts = said.first_name, said.last_name, said.email, said.phone, said.tier
    if (
        not customer_id.isascii()
        or not customer_id
        or customer_id != customer_id.strip()
        or any(map(_is_blank, texts))
        or (money is not None and _MONEY.fullmatch(money) is None)
    ):
        return None
    day = None
    if bought_at is not None:
        # Other years, such as 0001, may mean that there is no date: `judge_fields` decides.
        day = parse_utc(bought_at) if bought_at.startswith(("19", "20")) else None
        if day is None:
            return None
    attributes: dict[str, Any] = {}
    if not _FIELDS.issuperset(document):
        attributes = {name: value for name, value in document.items() if name not in _FIELDS}
    return Customer(
        customer_id,
        texts[0] or "",
        texts[1] or "",
        texts[2] or "",
        texts[3] or "",
        said.loyalty_points or 0,
        texts[4] or "",
        _NO_MONEY if money is None else Decimal(money),
        day,
        attributes,
    )


def _is_blank(text: str | None) -> bool:
    return text is not None and text.isspace()
