"""Reads replayed messages as the agents do, and finds the answers that tills got to them."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup.events.reading import read_customer_update, read_identification
from agents.customer_lookup.read_model.schema import LOOKUP_ANSWERS
from agents.customer_lookup.topics import CUSTOMER_UPDATED
from posstream.dead_letters.part import Told
from posstream.events.ids import input_id
from posstream.read_model.engine import read_only
from posstream.read_model.reading import reading

#: Baskets in one statement.
_MOST_AT_ONCE: Final = 500


def read(message: Any, topic: str, card_guard: bool) -> Told:  # noqa: FBT001 - as `ReplayPart` has it
    """Read a message of `customer-identified` or `customer-updated`.

    Raises:
        UnreadableEvent: if it is none.
    """
    if topic == CUSTOMER_UPDATED:
        read_customer_update(message.value, timestamp_ms=message.timestamp, card_guard=card_guard)
        place = (message.partition, message.offset, message.timestamp)
        return Told(input_id(None, topic, *place))
    asked = read_identification(
        message.value,
        topic=topic,
        partition=message.partition,
        offset=message.offset,
        timestamp_ms=message.timestamp,
        headers=message.headers,
        card_guard=card_guard,
    )
    return Told(asked.lookup_id, asked.basket_id)


async def answers(engine: AsyncEngine, told: Collection[Told]) -> Mapping[str, str]:
    """The answer of each lookup that has one: its source, or the reason of its failure.

    Raises:
        ReadModelBusy, DatabaseAway: from the read model.
    """
    wanted = {it.event_id for it in told}
    baskets = sorted({it.basket_id for it in told if it.basket_id is not None})
    columns = LOOKUP_ANSWERS.c
    found: dict[str, str] = {}
    async with reading(read_only(engine)) as connection:
        for start in range(0, len(baskets), _MOST_AT_ONCE):
            some = baskets[start : start + _MOST_AT_ONCE]
            rows = await connection.execute(
                select(columns.lookup_id, columns.reason, columns.source).where(
                    columns.basket_id.in_(some)
                )
            )
            found |= {id_: reason or source for id_, reason, source in rows if id_ in wanted}
    return found
