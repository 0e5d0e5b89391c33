"""The events of a basket as they are shown, in the order in which they count. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from agents.baskets.events.writing import NAMES, fields_of
from agents.baskets.fold import in_order
from agents.baskets.read_model.records import TillBasket
from agents.baskets.read_model.rows import stored_events
from posstream.domain.money import PLACES, amount_text
from posstream.domain.times import from_ms


@dataclass(frozen=True, slots=True)
class Happened:
    """One event."""

    event_id: str
    event_type: str
    occurred_at: datetime
    #: Without what is empty: the name of a customer who was forgotten.
    fields: Mapping[str, str]


def happened(row: TillBasket) -> Sequence[Happened]:
    """The events of a basket."""
    return [
        Happened(
            event.event_id,
            NAMES[type(event)],
            from_ms(event.occurred_at_ms),
            {name: text for name, text in fields_of(event).items() if text},
        )
        for event in in_order(stored_events(row.events))
    ]


def money(value: Decimal) -> str:
    """An amount of the read model, as the contract writes it."""
    return amount_text(int(value.scaleb(PLACES)))
