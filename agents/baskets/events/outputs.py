"""The models of the events that the plugin writes. No I/O."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct

from agents.baskets.basket import Status
from posstream.events.fields import Count, DerivedId, KnownId, MayBeAbsent, SchemaVersion, Time

_Amount = Annotated[
    str,
    Meta(pattern=r"^-?[0-9]+\.[0-9]{2,4}$", description="A decimal with two to four places."),
]
_Quantity = Annotated[
    str, Meta(pattern=r"^[0-9]+(\.[0-9]{1,4})?$", description="A decimal; a weight has places.")
]
_Revision = Annotated[
    int,
    Meta(
        ge=1,
        description="How many events of the basket are known. Keep the highest: of two messages "
        "for one basket it is the newer one.",
    ),
]


class BoughtItem(Struct, frozen=True, kw_only=True):
    """One line of a basket."""

    item_id: KnownId
    product_id: KnownId
    product_name: str | None = None
    category: str | None = None
    unit_price: _Amount
    quantity: _Quantity
    discount: _Amount
    total: Annotated[_Amount, Meta(description="Without what is taken off the whole basket.")]


class MadePayment(Struct, frozen=True, kw_only=True):
    """One payment."""

    payment_id: KnownId
    amount: _Amount
    currency: str | None = None
    method: str | None = None
    paid_at: Time


class BasketCompleted(Struct, frozen=True, kw_only=True):
    """A basket was paid, or something came later for one that had been paid."""

    event_id: DerivedId
    event_type: Literal["BASKET_COMPLETED"] = "BASKET_COMPLETED"
    schema_version: SchemaVersion = 1
    occurred_at: Time
    basket_id: KnownId
    revision: _Revision
    status: Status
    customer_id: KnownId | None = None
    customer_identifier: KnownId | None = None
    tier: str | None = None
    employee_id: KnownId | None = None
    terminal_id: KnownId | None = None
    started_at: Time
    completed_at: Time | None = None
    items: list[BoughtItem]
    subtotal: _Amount
    discount: _Amount
    total: _Amount
    paid: _Amount
    refunded: _Amount
    currency: str | None = None
    payments: list[MadePayment]


class BasketContext(Struct, frozen=True, kw_only=True):
    """What was known of a basket when an event of it happened, that event included."""

    status: Status
    started_at: Time
    items: Count
    total: _Amount
    paid: _Amount
    customer_id: KnownId | None = None
    customer_identifier: KnownId | None = None
    tier: str | None = None
    employee_id: KnownId | None = None
    terminal_id: KnownId | None = None


class ToldTillEvent(Struct, frozen=True, kw_only=True):
    """A till event once more, for other plugins.

    A late event changes what was known of its basket at the events behind it: these are told
    again, with a higher revision. Of two messages with one event_id, the higher revision counts.
    """

    event_id: KnownId
    event_type: str
    occurred_at: Time
    written_at: Annotated[Time, Meta(description="When the message came to the broker.")]
    basket_id: KnownId | None = None
    revision: Count
    fields: Annotated[
        dict[str, str],
        Meta(description="Those of the contract, by name; amounts and quantities as decimals."),
    ]
    basket: BasketContext | None = None
    moved_from: MayBeAbsent[
        Annotated[
            dict[str, str],
            Meta(
                description="The ids of the basket that a late event has changed, with their "
                "former values: the event was told with those before."
            ),
        ]
    ] = UNSET
