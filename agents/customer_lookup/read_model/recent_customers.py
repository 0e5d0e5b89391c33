"""Remembers the customers of the last minute, so that they are not read and written again.

Most answers come from the cache, and say of a customer what the answer before said. Their upserts
change nothing, and cost more than all other rows of the answer.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from agents.customer_lookup.read_model.fields import (
    Row,
    UnusableEventError,
    document_of,
    plain,
)
from agents.customer_lookup.read_model.told import Told
from posstream.domain.customer import (
    CUSTOMER_FIELDS,
    Customer,
    InvalidCustomer,
    read_customer,
)
from posstream.domain.identifier import Identifier, IdentifierKind, normalise
from posstream.domain.search import folded
from posstream.json.reading import read_json_exactly
from posstream.read_model.stored_time import stored

_MAX_MONEY: Final = Decimal(10) ** 13
#: How long anything is remembered: rows may be erased meanwhile, as by `projection rebuild --drop`.
KNOWN_SECONDS: Final = 60.0
_MOST_DOCUMENTS: Final = 10_000
#: A longer document is not remembered: this bounds the memory.
_MOST_BYTES: Final = 4096
_MOST_TOLD: Final = 200_000


@dataclass(slots=True)
class RecentCustomers:
    """What the answers of the last minute said about their customers."""

    now: Callable[[], float] = time.monotonic
    _columns: dict[bytes, Row] = field(default_factory=dict)
    #: By hash of a `Told` whose rows are committed: the customer's id.
    _told: dict[int, str] = field(default_factory=dict)
    _since: float = 0.0

    def columns(self, document: bytes) -> Row:
        """The columns of a customer that come from the document alone; leave them unchanged.

        Raises:
            UnusableEventError: if the document is no customer; names the field.
        """
        self._forget_old()
        row = self._columns.get(document)
        if row is None:
            row = columns_of_customer(read_json_exactly(document))
            if len(self._columns) >= _MOST_DOCUMENTS:
                self._columns.clear()
            if len(document) <= _MOST_BYTES:
                self._columns[document] = row
        return row

    def customer_of(self, told: Told) -> str | None:
        """The customer's id if the database has the rows of this `Told`, else None."""
        self._forget_old()
        return self._told.get(hash(told))

    def note(self, told: Mapping[Told, str]) -> None:
        """Remember committed `Told`, each with its customer's id."""
        self._forget_old()
        if len(self._told) >= _MOST_TOLD:
            self._told.clear()
        self._told.update((hash(it), customer_id) for it, customer_id in told.items())

    def _forget_old(self) -> None:
        if self.now() - self._since >= KNOWN_SECONDS:
            self._columns.clear()
            self._told.clear()
            self._since = self.now()


def columns_of_customer(document: object) -> Row:
    """The columns of a customer that come from the document alone.

    Raises:
        UnusableEventError: if the document is no customer; names the field.
    """
    # Payment-card numbers were masked or refused before the event was written.
    customer = read_customer(plain(document), card_guard=False)
    if isinstance(customer, InvalidCustomer):
        raise UnusableEventError(f"customer: {customer.why}")
    if abs(customer.total_purchases) >= _MAX_MONEY:
        raise UnusableEventError("customer: total_purchases is out of range")
    attributes = document_of(document, "attributes") if isinstance(document, dict) else None
    last = customer.last_purchase_date
    return {
        **{name: getattr(customer, name) for name in CUSTOMER_FIELDS},
        "last_purchase_date": None if last is None else stored(last),
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
