"""Counts an event in its basket, and makes the records that tell of it. Pure.

Nothing is stored here. Nothing may be told before the basket is stored.
"""

from collections.abc import Sequence

from agents.baskets.basket import Basket, Status
from agents.baskets.events.writing import Context, completed, told
from agents.baskets.fold import ids_at, in_order, place_of, take
from agents.baskets.held import HeldBasket
from agents.baskets.known import MOST_BYTES, too_large
from agents.baskets.till_events import AnyEvent
from posstream.kafka.record import Record


def count(
    held: HeldBasket, basket_id: str, event: AnyEvent, now_ms: int, trace: str | None
) -> list[Record]:
    """Count an event in its basket, also if it is late or repeated.

    Returns:
        what is to be told once the basket is stored; nothing if this worker told the event in this
        generation.

    Raises:
        UnreadableEvent: if the basket has no room for the event. The basket is unchanged then.
    """
    has_id = held.has_id(event.event_id)
    index = held.index_of(event) if has_id else None
    if index is None:
        held.add(event)
    elif held.was_told(index):
        return []
    else:
        # The store of a killed worker may have an event that its changelog lacks. The event is
        # finished here, so the next owner of the partition would never count it.
        held.is_changed = True
    try:
        if not has_id and place_of(event) > held.basket.last:  # most events
            basket = held.basket
            take(basket, event)
            context = Context(basket_id, basket, len(held.events))
            records = [told(event, context, trace)]
        else:
            at = len(held.events) - 1 if index is None else index
            basket, records = _told_again(held, basket_id, at, trace)
        was_paid = held.was_paid or basket.status is Status.PAID
        if was_paid:
            records.append(completed(basket_id, basket, now_ms, trace))
        _check_sizes(records)
    except Exception:
        if index is None:
            held.forget_last()
        raise
    held.basket = basket
    if was_paid and not held.was_paid:
        held.was_paid = held.is_changed = True
    return records


def _check_sizes(records: Sequence[Record]) -> None:
    for record in records:
        if record.value is not None and len(record.value) > MOST_BYTES:
            raise too_large(MOST_BYTES, "bytes")


def _told_again(
    held: HeldBasket, basket_id: str, index: int, trace: str | None
) -> tuple[Basket, list[Record]]:
    """Make the records of a late or repeated event, and of events behind it that came before.

    A repeated event is told too: a crash may have come after the changelog was written and before
    the event was told.

    Args:
        held: the basket and its events.
        basket_id: the id of the basket.
        index: where the event is among those that are known.
        trace: the trace context of the event.

    Returns:
        The basket after all of its events, and what is to be told.
    """
    event, earlier = held.events[index], held.events[:index]
    # The events that came later were told with this event known.
    changed = {event.event_id, *(it.event_id for it in earlier)}
    start = min(place_of(it) for it in held.events if it.event_id == event.event_id)
    # The ids as the first delivery found them: a crash may have lost what was told since.
    before = ids_at(earlier)
    basket = Basket(places=held.basket.places)
    records = []
    for each in in_order(held.events):
        take(basket, each)
        if each.event_id in changed and basket.last >= start:
            ids, were = basket.ids, before.get(each.event_id, {})
            moved_from = {name: it for name, it in were.items() if ids.get(name) != it}
            context = Context(basket_id, basket, len(held.events), moved_from)
            records.append(told(each, context, trace))
    basket.revision = len(held.events)
    return basket, records
