"""Reads the customer of an answer as columns of `customers`."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

import orjson

from agents.customer_lookup.read_model.fields import (
    Row,
    UnusableEventError,
    document_of,
    plain,
)
from posstream.domain.customer import (
    CUSTOMER_FIELDS,
    Customer,
    InvalidCustomer,
    read_customer,
)
from posstream.domain.identifier import Identifier, IdentifierKind, normalise
from posstream.domain.search import folded
from posstream.json.writing import write_json

_MAX_MONEY: Final = Decimal(10) ** 13
#: How long documents are remembered while answers come.
_SECONDS: Final = 60.0
_MOST_DOCUMENTS: Final = 10_000


@dataclass(slots=True)
class CustomerColumns:
    """The columns of the customers of recent answers: most answers repeat a document."""

    now: Callable[[], float] = time.monotonic
    _read: dict[bytes, Row] = field(default_factory=dict)
    _since: float = 0.0

    def read(self, document: object) -> Row:
        """The columns that come from the document of a customer alone; leave them unchanged.

        Raises:
            UnusableEventError: if the document is no customer; names the field.
        """
        try:
            text = write_json(document)
        except orjson.JSONEncodeError:  # a lone surrogate, which is read all the same
            return _columns(document)
        if self.now() - self._since >= _SECONDS or len(self._read) >= _MOST_DOCUMENTS:
            self._read.clear()
            self._since = self.now()
        row = self._read.get(text)
        if row is None:
            row = self._read[text] = _columns(document)
        return row


def _columns(document: object) -> Row:
    # Payment-card numbers were masked or refused before the event was written.
    customer = read_customer(plain(document), card_guard=False)
    if isinstance(customer, InvalidCustomer):
        raise UnusableEventError(f"customer: {customer.why}")
    if abs(customer.total_purchases) >= _MAX_MONEY:
        raise UnusableEventError("customer: total_purchases is out of range")
    attributes = document_of(document, "attributes") if isinstance(document, dict) else None
    return {
        **{name: getattr(customer, name) for name in CUSTOMER_FIELDS},
        "attributes": attributes if isinstance(attributes, dict) else {},
        "search_text": _search_text(customer),
    }


def _search_text(customer: Customer) -> str:
    """The text that `search` looks through, folded: name, e-mail and phone, a line each."""
    phone, normal = customer.phone, normalise(customer.phone, card_guard=False)
    if isinstance(normal, Identifier) and normal.kind is IdentifierKind.PHONE:
        phone = phone if normal.value == phone else f"{phone} {normal.value}"
    lines = (f"{customer.first_name} {customer.last_name}", customer.email, phone)
    return "\n".join(folded(line) for line in lines)
