"""The models of the events that the plugin writes. No I/O.

A field is required where the contract promises it (section 1): consumers ignore unknown fields, and
producers only ever add optional ones.
"""

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from agents.customer_lookup.answers import AttemptStatus, Reason, Source
from posstream.domain.customer import TIERS
from posstream.domain.identifier import IdentifierKind
from posstream.events.fields import Count, DerivedId, KnownId, SchemaVersion, Time

#: Longest `response_data` in an audit record, in bytes of JSON.
MAX_RESPONSE_DATA: Final = 4096

_Identifier = Annotated[str, Meta(description="Normalised; masked where it was refused.")]
_Kind = Annotated[IdentifierKind | None, Meta(description="Null where it was refused.")]


class CustomerDocument(Struct, frozen=True, kw_only=True):
    """A customer as the directory describes one."""

    customer_id: KnownId
    first_name: str | UnsetType = UNSET
    last_name: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    phone: str | UnsetType = UNSET
    loyalty_points: int | UnsetType = UNSET
    tier: (
        Annotated[str, Meta(description=f"{', '.join(TIERS)}, or what else the directory says.")]
        | UnsetType
    ) = UNSET
    total_purchases: (
        Annotated[str, Meta(pattern=r"^-?[0-9]+\.[0-9]{2}$", description="A decimal.")] | UnsetType
    ) = UNSET
    last_purchase_date: Time | None = None
    attributes: (
        Annotated[
            dict[str, Any],
            Meta(
                description="Every other field that the directory returned, and any of the above "
                "with a value of no use. Numbers are as they were sent: maybe longer than 64 bits "
                "or a float can hold."
            ),
        ]
        | UnsetType
    ) = UNSET


class _Answer(Struct, frozen=True, kw_only=True):
    """What both terminal answers say."""

    event_id: DerivedId
    event_type: str
    schema_version: SchemaVersion = 1
    occurred_at: Time | UnsetType = UNSET
    lookup_id: Annotated[KnownId, Meta(description="Derived from the input.")]
    basket_id: KnownId
    customer_identifier: _Identifier
    identifier_kind: _Kind = None
    identified_at: Time | UnsetType = UNSET
    source: Source | None = None
    attempts: Count | UnsetType = UNSET
    duration_ms: Count | UnsetType = UNSET
    config_version: Count | UnsetType = UNSET


class CustomerDataFetched(_Answer, frozen=True, kw_only=True):
    """The terminal answer with a customer."""

    event_type: Literal["CUSTOMER_DATA_FETCHED"] = "CUSTOMER_DATA_FETCHED"
    source: Source
    fetched_at: Time | UnsetType = UNSET
    fresh_until: Time | UnsetType = UNSET
    age_ms: Count | UnsetType = UNSET
    customer: CustomerDocument


class CustomerLookupFailed(_Answer, frozen=True, kw_only=True):
    """The terminal answer without a customer, and the reason."""

    event_type: Literal["CUSTOMER_LOOKUP_FAILED"] = "CUSTOMER_LOOKUP_FAILED"
    reason: Reason
    error_message: str | None = None


class CustomerLookupLogged(Struct, frozen=True, kw_only=True):
    """One HTTP attempt."""

    event_id: KnownId | UnsetType = UNSET
    event_type: Literal["CUSTOMER_LOOKUP_LOGGED"] = "CUSTOMER_LOOKUP_LOGGED"
    schema_version: SchemaVersion = 1
    lookup_id: KnownId | UnsetType = UNSET
    attempt: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    waiters: (
        Annotated[Count, Meta(description="Other events that shared the call.")] | UnsetType
    ) = UNSET
    basket_id: (
        Annotated[KnownId, Meta(description="Absent after a refresh by hand: nobody scanned.")]
        | UnsetType
    ) = UNSET
    customer_identifier: _Identifier | UnsetType = UNSET
    identifier_kind: _Kind = None
    api_endpoint: str | UnsetType = UNSET
    call_started_at: (
        Annotated[Time, Meta(description="When the call began that the attempt belongs to.")]
        | UnsetType
    ) = UNSET
    request_timestamp: Time | UnsetType = UNSET
    response_timestamp: Time | UnsetType = UNSET
    status: AttemptStatus | UnsetType = UNSET
    http_status: int | None = None
    response_data: Annotated[
        Any, Meta(description="What came back, any JSON, cut to a bounded size.")
    ] = None
    error_message: str | None = None
    duration_ms: Count | UnsetType = UNSET
    customer_id: (
        Annotated[KnownId, Meta(description="The customer in the response, if it names one.")]
        | UnsetType
    ) = UNSET
