"""Writes what a till says to `pos-events`, checked as the reader of that topic checks it.

GraphQL's mutations and the console's page *Try it* use this module.
"""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from graphene.utils.str_converters import to_camel_case
from msgspec.structs import fields

from agents.baskets import topics
from agents.baskets.basket_ports import basket_ports
from agents.baskets.events.reading import TYPES, Place, read_till_event
from agents.baskets.events.writing import SOURCE, fields_of
from posstream.domain.errors import PublishFailed, UnreadableEvent
from posstream.domain.times import iso_utc_ms
from posstream.events.envelope import ce_headers
from posstream.json.writing import write_json
from posstream.kafka.record import Record
from posstream.tracing.context import with_context
from web.graphql.context import GraphQLContext, Refused

_UNACKNOWLEDGED: Final = Refused(
    "BROKER_UNAVAILABLE", "the broker did not acknowledge the event; try again"
)
_FIELDS: Final = frozenset(field.name for model in TYPES.values() for field in fields(model))
_SNAKE: Final = re.compile(r"[a-z]+(_[a-z]+)+")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a mutation; `success` means that the broker acknowledged the event."""

    success: bool
    event_id: str | None = None
    error: Refused | None = None


async def say(context: GraphQLContext, event_type: str, given: Mapping[str, str]) -> Outcome:
    """Write one event of a basket.

    Args:
        context: of the request.
        event_type: one of those of a basket.
        given: its fields by their names on the topic, with a `basket_id`.
    """
    now_ms, event_id = context.clock.now_ms(), str(uuid.uuid4())
    head = {"event_type": event_type, "event_id": event_id, "occurred_at": iso_utc_ms(now_ms)}
    try:
        told = read_till_event(
            write_json({**given, **head}),
            Place(topics.POS_EVENTS, 0, 0, now_ms),
            card_guard=context.card_guard,
        )
    except UnreadableEvent as why:
        return Outcome(success=False, error=_refusal(str(why)))
    if told is None or told.basket_id is None:
        raise ValueError(f"{event_type} is no event of a basket")
    # What was read is written: amounts as decimals, and payment-card numbers masked.
    value = {**head, "basket_id": told.basket_id, **fields_of(told.event)}
    record = Record(
        topics.POS_EVENTS,
        told.basket_id.encode(),
        write_json(value),
        with_context(
            ce_headers(event_id, event_type, now_ms, told.basket_id, source=SOURCE),
            context.traceparent,
        ),
    )
    try:
        await basket_ports(context).publisher.publish(record)
    except PublishFailed:
        return Outcome(success=False, error=_UNACKNOWLEDGED)
    return Outcome(success=True, event_id=event_id)


def _refusal(why: str) -> Refused:
    """The reader's reason, whose first word is the field, by the names of the arguments."""
    name = why.partition(" ")[0]
    code = f"INVALID_{name.upper()}" if name in _FIELDS else "INVALID_EVENT"
    return Refused(code, _SNAKE.sub(lambda found: to_camel_case(found[0]), why))
