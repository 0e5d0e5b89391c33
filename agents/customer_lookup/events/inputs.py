"""The models of the events that any service may write to the plugin. No I/O.

The order of a model's fields is that in which they are judged. A field on which no answer depends
takes any value: it does not make an event a dead letter.
"""

from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from posstream.events.fields import (
    GuardedDetail,
    GuardedId,
    GuardedIdOrNumber,
    Id,
    Moment,
    NotRead,
)

#: A till may ask for a later answer than configured, but not for a later one than this.
MAX_DEADLINE_MS: Final = 300_000

_Scanned = Annotated[
    str, Meta(description="A phone number, an e-mail address or a card, as scanned.")
]
_Noted = Annotated[
    Any,
    Meta(
        description="Who the basket belongs to, as scanned. It is noted, and not looked up.",
        examples=["+1234567890"],
    ),
]
_SaidKind = Annotated[
    Any,
    Meta(
        description="PHONE, EMAIL or CARD: read as this kind and no other. Anything else counts as "
        "absent: the identifier is read by its syntax.",
        examples=["CARD"],
    ),
]
_Deadline = Annotated[
    int,
    Meta(
        ge=1,
        description=f"When the answer must be there; at most {MAX_DEADLINE_MS} counts.",
        extra={"must_be": "a whole number of milliseconds, at least 1"},
    ),
]
_NewsOfCustomer = Annotated[
    Any,
    Meta(
        description="As the directory describes one; only its customer_id is required. An invalid "
        "customer, or one of another customer_id, counts as absent: the cache entries are dropped "
        "then, and the directory is asked again."
    ),
]


class CustomerIdentified(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A customer was scanned at a till."""

    basket_id: GuardedId
    customer_identifier: _Scanned
    event_type: Literal["CUSTOMER_IDENTIFIED"] | None = None
    employee_id: GuardedDetail = None
    terminal_id: GuardedDetail = None
    event_id: Id | None = None
    deadline_ms: _Deadline | None = None
    identifier_kind: _SaidKind = None
    occurred_at: Moment = None


class BasketStarted(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A basket was started at a till."""

    event_type: Literal["BASKET_STARTED"] | None = None
    basket_id: GuardedId
    employee_id: GuardedIdOrNumber
    terminal_id: GuardedIdOrNumber
    event_id: NotRead = None
    occurred_at: Moment = None
    customer_identifier: _Noted = None


class CustomerUpdated(Struct, frozen=True, kw_only=True):
    """A customer changed in the directory."""

    event_type: Literal["CUSTOMER_UPDATED"] | None = None
    customer_id: GuardedIdOrNumber | None = None
    customer_identifier: _Scanned | None = None
    identifier_kind: _SaidKind = None
    event_id: NotRead = None
    occurred_at: Moment = None
    customer: _NewsOfCustomer = None
