"""The plugin's events that others may rely on, each with an example. No I/O."""

from collections.abc import Mapping
from typing import Any, Final

from agents.customer_lookup import topics
from agents.customer_lookup.events.inputs import BasketStarted, CustomerIdentified, CustomerUpdated
from agents.customer_lookup.events.outputs import (
    CustomerDataFetched,
    CustomerLookupFailed,
    CustomerLookupLogged,
)
from posstream.events.model import EventModel

_EXAMPLE_ANSWER: Final[Mapping[str, Any]] = {
    "event_id": "6f1a1f6e-2d1b-5c39-9d5d-0c7a7c1f9e11",
    "schema_version": 1,
    "occurred_at": "2026-01-31T08:00:00.042Z",
    "lookup_id": "0b0c5a53-8b8e-5a8c-8c8e-1f3a6f0f7f22",
    "basket_id": "basket_0123456789ab",
    "customer_identifier": "+1234567890",
    "identifier_kind": "PHONE",
    "identified_at": "2026-01-31T08:00:00.000Z",
    "attempts": 1,
    "duration_ms": 42,
    "config_version": 3,
}
_EXAMPLE_CUSTOMER: Final[Mapping[str, Any]] = {
    "customer_id": "CUST_001",
    "first_name": "John",
    "last_name": "Doe",
    "email": "john@example.com",
    "phone": "+1234567890",
    "loyalty_points": 1250,
    "tier": "GOLD",
    "total_purchases": "3500.00",
    "last_purchase_date": "2026-01-15T10:30:00.000Z",
    "attributes": {},
}

EVENTS: Final = (
    EventModel(
        topic=topics.CUSTOMER_IDENTIFIED,
        name="CustomerIdentified",
        summary="A customer was scanned at a till. Each gets exactly one terminal answer: one on "
        "customer-data-fetched or customer-lookup-failed, or one dead letter.",
        model=CustomerIdentified,
        example={
            "event_id": "5b1c7a52-6d0f-4f6e-9a58-3d1f4f0f3c01",
            "event_type": "CUSTOMER_IDENTIFIED",
            "occurred_at": "2026-01-31T08:00:00.000Z",
            "basket_id": "basket_0123456789ab",
            "customer_identifier": "+1 (234) 567-890",
            "employee_id": "1",
            "terminal_id": "t1",
            "deadline_ms": 3000,
        },
        received=True,
    ),
    EventModel(
        topic=topics.CUSTOMER_DATA_FETCHED,
        name="CustomerDataFetched",
        summary="The terminal answer with a customer.",
        model=CustomerDataFetched,
        example={
            **_EXAMPLE_ANSWER,
            "event_type": "CUSTOMER_DATA_FETCHED",
            "source": "API",
            "fetched_at": "2026-01-31T08:00:00.040Z",
            "fresh_until": "2026-01-31T09:00:00.040Z",
            "age_ms": 2,
            "customer": _EXAMPLE_CUSTOMER,
        },
    ),
    EventModel(
        topic=topics.CUSTOMER_LOOKUP_FAILED,
        name="CustomerLookupFailed",
        summary="The terminal answer without a customer, and the reason.",
        model=CustomerLookupFailed,
        example={
            **_EXAMPLE_ANSWER,
            "event_type": "CUSTOMER_LOOKUP_FAILED",
            "source": None,
            "reason": "TIMEOUT",
            "error_message": "no answer within 5 s",
        },
    ),
    EventModel(
        topic=topics.CUSTOMER_LOOKUP_LOGGED,
        name="CustomerLookupLogged",
        summary="The audit: one record per HTTP attempt.",
        model=CustomerLookupLogged,
        example={
            "event_id": "c0a2b2d0-6c3c-5b0a-9a52-0f6f7f0f1a33",
            "event_type": "CUSTOMER_LOOKUP_LOGGED",
            "schema_version": 1,
            "lookup_id": "0b0c5a53-8b8e-5a8c-8c8e-1f3a6f0f7f22",
            "attempt": 1,
            "waiters": 0,
            "basket_id": "basket_0123456789ab",
            "customer_identifier": "+1234567890",
            "identifier_kind": "PHONE",
            "api_endpoint": "http://directory.example/customers/",
            "call_started_at": "2026-01-31T08:00:00.001Z",
            "request_timestamp": "2026-01-31T08:00:00.001Z",
            "response_timestamp": "2026-01-31T08:00:00.040Z",
            "status": "SUCCESS",
            "http_status": 200,
            "response_data": {"customer_id": "CUST_001", "tier": "GOLD"},
            "customer_id": "CUST_001",
            "error_message": None,
            "duration_ms": 39,
        },
    ),
    EventModel(
        topic=topics.BASKET_STARTED,
        name="BasketStarted",
        summary="A basket was started at a till.",
        model=BasketStarted,
        example={
            "event_id": "2f0d3a0e-3f5c-4a3f-8a11-7a2a2f1c4d05",
            "event_type": "BASKET_STARTED",
            "occurred_at": "2026-01-31T07:59:00.000Z",
            "basket_id": "basket_0123456789ab",
            "employee_id": 1,
            "terminal_id": "t1",
        },
        received=True,
    ),
    EventModel(
        topic=topics.CUSTOMER_UPDATED,
        name="CustomerUpdated",
        summary="A customer changed: their cache entries are refreshed or dropped.",
        model=CustomerUpdated,
        example={
            "event_id": "9a0f5d1c-2e6b-4f0b-8f57-5d2f0a6b7c44",
            "event_type": "CUSTOMER_UPDATED",
            "occurred_at": "2026-01-31T08:05:00.000Z",
            "customer_id": "CUST_001",
            "customer": _EXAMPLE_CUSTOMER,
        },
        received=True,
        sent=False,
        any_of=("customer_id", "customer_identifier"),
    ),
)
