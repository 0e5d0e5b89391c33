"""Reads events of other services into the plugin's own types. No I/O.

A field that an answer needs is checked: a bad message becomes a dead letter that names the field.
Any other field that cannot be read counts as absent.
"""

from collections.abc import Mapping
from typing import Final

from agents.customer_lookup.answers import Identification
from agents.customer_lookup.cache_commands import CustomerUpdate
from agents.customer_lookup.events.inputs import (
    MAX_DEADLINE_MS,
    CustomerIdentified,
    CustomerUpdated,
)
from posstream.domain.customer import Customer, InvalidCustomer, read_customer
from posstream.domain.errors import DeadLetterReason, UnreadableEvent
from posstream.domain.identifier import Identifier, IdentifierKind, normalise
from posstream.domain.times import clamp_ms
from posstream.events.envelope import Headers, written_ms
from posstream.events.ids import input_id
from posstream.events.reading import moment_ms, read_event
from posstream.json.reading import read_json_exactly
from posstream.tracing.context import traceparent

_KINDS: Final[Mapping[str, IdentifierKind]] = {kind.value: kind for kind in IdentifierKind}


def read_identification(  # noqa: PLR0913 - a message is its bytes and its coordinates
    value: bytes | None,
    *,
    topic: str,
    partition: int,
    offset: int,
    timestamp_ms: int,
    headers: Headers = (),
    card_guard: bool = True,
    country_code: str | None = None,
) -> Identification:
    """Read one `customer-identified` message.

    Args:
        value: the message as received.
        topic: where it came from; with `partition`, `offset` and `timestamp_ms` its identity
            without event_id.
        partition: see `topic`.
        offset: see `topic`.
        timestamp_ms: the record's own timestamp. Without `occurred_at`, the event happened then,
            or, of a replayed message, when the message was first written.
        headers: Kafka headers; `traceparent` is handed on.
        card_guard: refuse payment-card numbers.
        country_code: see `normalise`.

    Raises:
        UnreadableEvent: if it is no such event; the message names the field.

    A readable event with a refused identifier is returned with `refused` set: it gets an answer.
    """
    event = read_event(CustomerIdentified, value, card_guard=card_guard)
    occurred_at = moment_ms(event.occurred_at)
    if occurred_at is None:
        occurred_at = clamp_ms(written_ms(timestamp_ms, headers))
    found = normalise(
        event.customer_identifier,
        card_guard=card_guard,
        kind=_kind(event.identifier_kind),
        country_code=country_code,
    )
    identifier, kind, refused = (
        (found.value, found.kind, None)
        if isinstance(found, Identifier)
        else (found.masked, None, found.why)
    )
    return Identification(
        lookup_id=input_id(event.event_id, topic, partition, offset, timestamp_ms),
        basket_id=event.basket_id,
        identifier=identifier,
        kind=kind,
        identified_at_ms=occurred_at,
        deadline_ms=None if event.deadline_ms is None else min(event.deadline_ms, MAX_DEADLINE_MS),
        refused=refused,
        traceparent=traceparent(headers),
    )


def read_customer_update(
    value: bytes | None,
    *,
    timestamp_ms: int,
    card_guard: bool = True,
    country_code: str | None = None,
) -> CustomerUpdate:
    """Read one `customer-updated` message.

    An invalid customer, or one with another customer_id than the event's, counts as absent: the
    cache entries are dropped, and the directory is asked again. A refused identifier has no
    entries.

    Args:
        value: the message as received.
        timestamp_ms: the broker's timestamp, used when `occurred_at` is absent.
        card_guard: refuse a payment-card number for an identifier, and mask those in the customer.
        country_code: see `normalise`.

    Raises:
        UnreadableEvent: if it is no such event; the message names the field.
    """
    event = read_event(CustomerUpdated, value, card_guard=card_guard, read=read_json_exactly)
    if event.customer_id is None and event.customer_identifier is None:
        raise UnreadableEvent(
            DeadLetterReason.MISSING_FIELD, "customer_id and customer_identifier are missing"
        )
    customer_id = None if event.customer_id is None else str(event.customer_id)
    customer = _customer(event.customer, customer_id, card_guard=card_guard)
    found = None
    if event.customer_identifier is not None:
        found = normalise(
            event.customer_identifier,
            card_guard=card_guard,
            kind=_kind(event.identifier_kind),
            country_code=country_code,
        )
    occurred_at = moment_ms(event.occurred_at)
    return CustomerUpdate(
        customer_id=customer_id if customer is None else customer.customer_id,
        identifier=found.value if isinstance(found, Identifier) else None,
        customer=customer,
        occurred_at_ms=clamp_ms(timestamp_ms) if occurred_at is None else occurred_at,
    )


def _customer(document: object, customer_id: str | None, *, card_guard: bool) -> Customer | None:
    customer = read_customer(document, card_guard=card_guard)
    if isinstance(customer, InvalidCustomer) or customer_id not in {None, customer.customer_id}:
        return None
    return customer


def _kind(said: object) -> IdentifierKind | None:
    """The kind in `identifier_kind`; None if it is absent, or no kind of ours."""
    return _KINDS.get(said) if isinstance(said, str) else None
