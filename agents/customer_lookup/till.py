"""Writes the two events of a till: a basket starts, and a customer is scanned.

GraphQL's mutations and the console's page *Try it* use this module.
"""

import uuid
from dataclasses import dataclass

from agents.customer_lookup.events.writing import basket_started, identified
from agents.customer_lookup.lookup_ports import lookup_ports
from posstream.domain.errors import PublishFailed
from posstream.domain.identifier import Identifier, IdentifierKind, InvalidIdentifier
from posstream.domain.payment_card import holds_payment_card
from posstream.kafka.record import Record
from posstream.tracing.context import with_context
from web.access.guessing import TOO_MANY_LOOKUPS
from web.graphql.context import MAX_TEXT, GraphQLContext, Refused, is_sound


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a mutation; `success` means that the broker acknowledged the event."""

    success: bool
    basket_id: str | None = None
    event_id: str | None = None
    error: Refused | None = None


async def start_basket(
    context: GraphQLContext, employee_id: int, terminal_id: str, scanned: str | None = None
) -> Outcome:
    """Write `basket-started` under a new basket id, with the normalised identifier if one is given.

    The identifier is noted, and not looked up.
    """
    if why := _unfit(context, "terminalId", terminal_id):
        return refused("INVALID_TERMINAL_ID", why)
    found = None if scanned is None else context.normalise(scanned)
    if isinstance(found, InvalidIdentifier):
        return _invalid(found)
    basket_id = f"basket_{uuid.uuid4().hex[:12]}"
    record = basket_started(
        basket_id,
        employee_id,
        terminal_id,
        context.clock.now_ms(),
        customer_identifier=None if found is None else found.value,
    )
    return await _published(context, record, basket_id)


async def identify_customer(
    context: GraphQLContext, basket_id: str, scanned: str, kind: IdentifierKind | None = None
) -> Outcome:
    """Write `customer-identified` with the normalised identifier."""
    if why := _unfit(context, "basketId", basket_id):
        return refused("INVALID_BASKET_ID", why)
    found = context.normalise(scanned, kind)
    if not isinstance(found, Identifier):
        return _invalid(found)
    if not context.budget.allows(context.caller, "identifyCustomer", scan=True):
        return refused("TOO_MANY_LOOKUPS", TOO_MANY_LOOKUPS)
    record = identified(basket_id, found.value, context.clock.now_ms(), kind=kind)
    return await _published(context, record)


def refused(code: str, message: str) -> Outcome:
    """The outcome of a refusal."""
    return Outcome(success=False, error=Refused(code, message))


def _invalid(found: InvalidIdentifier) -> Outcome:
    return refused("INVALID_IDENTIFIER", f"{found.masked} is refused: {found.why}")


def unacknowledged() -> Outcome:
    """The outcome of an event that the broker may not have."""
    return refused("BROKER_UNAVAILABLE", "the broker did not acknowledge the event; try again")


async def _published(
    context: GraphQLContext, record: Record, basket_id: str | None = None
) -> Outcome:
    try:
        record.headers = with_context(record.headers, context.traceparent)
        await lookup_ports(context).publisher.publish(record)
    except PublishFailed:
        return unacknowledged()
    event_id = dict(record.headers)["ce_id"].decode()
    return Outcome(success=True, basket_id=basket_id, event_id=event_id)


def _unfit(context: GraphQLContext, name: str, text: str) -> str | None:
    """Why a text cannot be an id on a topic; None if it can."""
    if not is_sound(text):
        return f"{name} must be 1 to {MAX_TEXT} printable characters"
    if context.card_guard and holds_payment_card(text):
        return f"{name} must hold no payment-card number"
    return None
