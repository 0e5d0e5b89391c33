"""What the read model tells of baskets. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from agents.baskets.basket import Status


@dataclass(frozen=True, slots=True)
class TillBasket:
    """A row of `till_baskets`."""

    basket_id: str
    revision: int
    status: str
    employee_id: str | None
    terminal_id: str | None
    customer_id: str | None
    customer_identifier: str | None
    tier: str | None
    identified_at: datetime | None
    started_at: datetime
    completed_at: datetime | None
    subtotal: Decimal
    discount: Decimal
    total: Decimal
    paid: Decimal
    refunded: Decimal
    currency: str | None
    items: Sequence[Mapping[str, Any]]
    payments: Sequence[Mapping[str, Any]]
    refunds: Sequence[Mapping[str, Any]]
    #: As `rows.stored_events` reads them.
    events: Sequence[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class BasketFilter:
    """Conditions on the baskets of the list; a field that is None is no condition."""

    status: Status | None = None
    basket_id: str | None = None
    terminal_id: str | None = None
    employee_id: str | None = None
    customer_id: str | None = None
    #: Started then or later.
    since: datetime | None = None
    #: Started before.
    until: datetime | None = None
