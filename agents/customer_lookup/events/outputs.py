"""The models of the events that the plugin writes. No I/O.

A field is required where the contract promises it (section 1): consumers ignore unknown fields, and
producers only ever add optional ones.
"""

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct

from agents.customer_lookup.reasons import AttemptStatus, Reason, Source
from posstream.domain.customer import TIERS
from posstream.domain.identifier import IdentifierKind
from posstream.events.fields import Count, DerivedId, KnownId, MayBeAbsent, SchemaVersion, Time

#: Longest `response_data` in an audit record, in bytes of JSON.
MAX_RESPONSE_DATA: Final = 4096

_Identifier = Annotated[str, Meta(description="Normalised; masked where it was refused.")]
_Kind = Annotated[IdentifierKind | None, Meta(description="Null where it was refused.")]
_Tier = Annotated[str, Meta(description=f"{', '.join(TIERS)}, or what else the directory says.")]
_Money = Annotated[str, Meta(pattern=r"^-?[0-9]+\.[0-9]{2}$", description="A decimal.")]
_Attributes = Annotated[
    dict[str, Any],
    Meta(
        description="Every other field that the directory returned, and any field above whose "
        "value cannot be used. Numbers are as sent: maybe longer than 64 bits or a float can hold."
    ),
]
_Waiters = Annotated[Count, Meta(description="Other events that shared the call.")]
_BasketIfAny = Annotated[
    KnownId, Meta(description="Absent after a refresh by hand: nobody scanned.")
]
_CallStart = Annotated[Time, Meta(description="When the attempt's call began.")]
_Response = Annotated[Any, Meta(description="What came back, any JSON, cut to a bounded size.")]
_CustomerIfAny = Annotated[
    KnownId, Meta(description="The customer in the response, if it names one.")
]


class CustomerDocument(Struct, frozen=True, kw_only=True):
    """A customer as the directory describes one."""

    customer_id: KnownId
    first_name: MayBeAbsent[str] = UNSET
    last_name: MayBeAbsent[str] = UNSET
    email: MayBeAbsent[str] = UNSET
    phone: MayBeAbsent[str] = UNSET
    loyalty_points: MayBeAbsent[int] = UNSET
    tier: MayBeAbsent[_Tier] = UNSET
    total_purchases: MayBeAbsent[_Money] = UNSET
    last_purchase_date: Time | None = None
    attributes: MayBeAbsent[_Attributes] = UNSET


class _Answer(Struct, frozen=True, kw_only=True):
    """What both terminal answers say."""

    event_id: DerivedId
    event_type: str
    schema_version: SchemaVersion = 1
    occurred_at: MayBeAbsent[Time] = UNSET
    lookup_id: Annotated[KnownId, Meta(description="Derived from the input.")]
    basket_id: KnownId
    customer_identifier: _Identifier
    identifier_kind: _Kind = None
    identified_at: MayBeAbsent[Time] = UNSET
    source: Source | None = None
    attempts: MayBeAbsent[Count] = UNSET
    duration_ms: MayBeAbsent[Count] = UNSET
    config_version: MayBeAbsent[Count] = UNSET


class CustomerDataFetched(_Answer, frozen=True, kw_only=True):
    """The terminal answer with a customer."""

    event_type: Literal["CUSTOMER_DATA_FETCHED"] = "CUSTOMER_DATA_FETCHED"
    source: Source
    fetched_at: MayBeAbsent[Time] = UNSET
    fresh_until: MayBeAbsent[Time] = UNSET
    age_ms: MayBeAbsent[Count] = UNSET
    customer: CustomerDocument


class CustomerLookupFailed(_Answer, frozen=True, kw_only=True):
    """The terminal answer without a customer, and the reason."""

    event_type: Literal["CUSTOMER_LOOKUP_FAILED"] = "CUSTOMER_LOOKUP_FAILED"
    reason: Reason
    error_message: str | None = None


class CustomerLookupLogged(Struct, frozen=True, kw_only=True):
    """One HTTP attempt."""

    event_id: MayBeAbsent[KnownId] = UNSET
    event_type: Literal["CUSTOMER_LOOKUP_LOGGED"] = "CUSTOMER_LOOKUP_LOGGED"
    schema_version: SchemaVersion = 1
    lookup_id: MayBeAbsent[KnownId] = UNSET
    attempt: MayBeAbsent[Annotated[int, Meta(ge=1)]] = UNSET
    waiters: MayBeAbsent[_Waiters] = UNSET
    basket_id: MayBeAbsent[_BasketIfAny] = UNSET
    customer_identifier: MayBeAbsent[_Identifier] = UNSET
    identifier_kind: _Kind = None
    api_endpoint: MayBeAbsent[str] = UNSET
    call_started_at: MayBeAbsent[_CallStart] = UNSET
    request_timestamp: MayBeAbsent[Time] = UNSET
    response_timestamp: MayBeAbsent[Time] = UNSET
    status: MayBeAbsent[AttemptStatus] = UNSET
    http_status: int | None = None
    response_data: _Response = None
    error_message: str | None = None
    duration_ms: MayBeAbsent[Count] = UNSET
    customer_id: MayBeAbsent[_CustomerIfAny] = UNSET
