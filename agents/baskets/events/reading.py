"""Reads what happens at tills into the plugin's own types. No I/O.

A till that writes a type in another way, or a field under another name, is understood as far as the
contract says (section 7).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from agents.baskets import till_events
from agents.baskets.events import inputs
from agents.baskets.events.gtin import is_gtin
from agents.baskets.till_events import AnyEvent, OfNoBasket
from posstream.domain.errors import DeadLetterReason, UnreadableEvent
from posstream.domain.money import read_amount
from posstream.domain.payment_card import (
    are_harmless,
    holds_payment_card,
    holds_payment_card_known,
    mask_payment_cards,
)
from posstream.domain.printable import is_id
from posstream.domain.times import clamp_ms
from posstream.events.envelope import Headers, written_ms
from posstream.events.fields import MAX_ID_LENGTH
from posstream.events.ids import input_id
from posstream.events.reading import (
    event_of,
    invalid,
    missing,
    moment_ms,
    read_event,
    read_object,
)
from posstream.json.reading import read_json_exactly
from posstream.json.undecodable import UNDECODABLE
from posstream.kafka.record import Record
from posstream.tracing.context import with_context

#: Other spellings of a type.
_SPELLINGS: Final = {
    "ITEM_QUANTITY_UPDATED": "ITEM_QUANTITY_CHANGED",
    "EMPLOYEE_LOGIN": "EMPLOYEE_LOGGED_IN",
    "EMPLOYEE_LOGOUT": "EMPLOYEE_LOGGED_OUT",
    "SESSION_TERMINATED": "EMPLOYEE_LOGGED_OUT",
}
_UNDERSCORES: Final = str.maketrans(".-", "__")
#: Other names of fields, by type.
_NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "ITEM_ADDED": {"price": "unit_price"},
    "ITEM_QUANTITY_CHANGED": {"new_quantity": "quantity"},
    "PAYMENT_COMPLETED": {"total_amount": "amount", "payment_method": "method"},
}
_NO_NAMES: Final[Mapping[str, str]] = {}


class Place(NamedTuple):
    """Where and when a message was written."""

    topic: str
    partition: int
    offset: int
    #: The record's own timestamp, in ms since 1970.
    timestamp_ms: int
    headers: Headers = ()

    @property
    def written_ms(self) -> int:
        """When the message was written; a replayed one, when it was first written."""
        return clamp_ms(written_ms(self.timestamp_ms, self.headers))

    def id_of(self, event_id: object) -> str:
        """The id of the message's event: the till's own, else one made of this place."""
        if isinstance(event_id, str) and is_id(event_id, MAX_ID_LENGTH):
            return mask_payment_cards(event_id)
        return input_id(None, self.topic, self.partition, self.offset, self.timestamp_ms)


AnyTold = AnyEvent | OfNoBasket
#: The fields that every event on `pos-events` has, in the order of `till_events.TillEvent`.
_Shared = tuple[int, str, int, str | None, str | None]


class Told(Struct, frozen=True, array_like=True):
    """One event, and the basket that it belongs to, if it belongs to one."""

    event: AnyTold
    basket_id: str | None


def event_type_of(said: object) -> str:
    """A type as the contract spells it.

    Raises:
        UnreadableEvent: if there is none.
    """
    if said is None:
        raise missing("event_type")
    if not isinstance(said, str):
        raise invalid("event_type", "must be text")
    said = said.strip()
    return said if said in _READERS or len(said) > MAX_ID_LENGTH else _spelt(said)


def _spelt(said: str) -> str:
    spelt = said.upper().translate(_UNDERSCORES)
    return _SPELLINGS.get(spelt, spelt)


def read_till_event(value: bytes | None, at: Place, *, card_guard: bool = True) -> Told | None:
    """Read one message of `pos-events`.

    Returns:
        None for an event of a type that nobody here knows.

    Raises:
        UnreadableEvent: if it is no event, or lacks what its type needs; the message names the
            field.
    """
    fields = read_object(value, read=read_json_exactly)
    if None in fields.values():  # a null counts as a missing field
        fields = {name: it for name, it in fields.items() if it is not None}
    event_type = fields["event_type"] = event_type_of(fields.get("event_type"))
    reader = _READERS.get(event_type)
    if reader is None:
        return None
    model, make = reader
    for other, name in _NAMES.get(event_type, _NO_NAMES).items():
        if other in fields:
            fields.setdefault(name, fields[other])
    if "timestamp" in fields:
        fields.setdefault("occurred_at", fields["timestamp"])
    read: Any = event_of(model, fields, card_guard=card_guard)
    happened, written = moment_ms(read.occurred_at), at.written_ms
    shared = (
        written if happened is None else happened,
        at.id_of(read.event_id),
        written,
        _text(read.employee_id),
        _text(read.terminal_id),
    )
    basket_id = getattr(read, "basket_id", None)
    return Told(make(read, shared), None if basket_id is None else str(basket_id))


def read_started(value: bytes | None, at: Place, *, card_guard: bool = True) -> Told:
    """Read one message of `basket-started`.

    Raises:
        UnreadableEvent: if it is no such event; the message names the field.
    """
    read = read_event(inputs.BasketStarted, value, card_guard=card_guard)
    happened = moment_ms(read.occurred_at)
    event = till_events.Started(
        at.written_ms if happened is None else happened,
        at.id_of(read.event_id),
        at.written_ms,
        employee_id=str(read.employee_id),
        terminal_id=str(read.terminal_id),
        customer_identifier=_detail(read.customer_identifier),
    )
    return Told(event, str(read.basket_id))


def read_answer(value: bytes | None, at: Place, *, card_guard: bool = True) -> Told:
    """Read one terminal answer of a lookup. Anybody may have written it, so it is guarded too.

    Raises:
        UnreadableEvent: if it is none; the message names the field.
    """
    try:
        read = _answer(value or b"")  # as posstream writes one
    except UNDECODABLE:
        read = read_event(inputs.LookupAnswer, value, card_guard=card_guard)
    is_guarded = card_guard and not are_harmless(_texts(read))
    if is_guarded and holds_payment_card(read.basket_id):
        raise invalid("basket_id", "holds a payment-card number")
    kept = mask_payment_cards if is_guarded else str
    happened, written = moment_ms(read.identified_at), at.written_ms
    shared = (written if happened is None else happened, kept(read.event_id), written)
    identifier = kept(read.customer_identifier)
    event: AnyEvent
    if read.customer is not None:
        customer = read.customer
        tier = None if customer.tier is None else kept(customer.tier)
        event = till_events.Identified(*shared, identifier, kept(customer.customer_id), tier)
    else:
        event = till_events.NotIdentified(*shared, identifier, kept(read.reason or ""))
    return Told(event, read.basket_id)


def _texts(read: inputs.LookupAnswer) -> Sequence[str]:
    """The texts of an answer that are kept."""
    customer = read.customer
    more = [read.reason] if customer is None else [customer.customer_id, customer.tier]
    return [read.event_id, read.basket_id, read.customer_identifier, *filter(None, more)]


def rekeyed(told: Told, topic: str, partition: int, trace: str | None = None) -> Record:
    """An event for the partition of its basket. Only what was read is written, and its trace."""
    key = None if told.basket_id is None else told.basket_id.encode()
    headers = with_context((), trace)
    return Record(topic, key, msgspec.msgpack.encode(told), headers, partition=partition)


def read_rekeyed(value: bytes | None) -> Told:
    """Read one message as `rekeyed` wrote it.

    Raises:
        UnreadableEvent: if it is no record that posstream wrote.
    """
    try:
        return _told(value or b"")
    except UNDECODABLE:
        raise UnreadableEvent(
            DeadLetterReason.INVALID_FIELD, "not a record that posstream wrote"
        ) from None


def _text(value: str | int | None) -> str | None:
    return None if value is None else str(value)


def _id(value: str | int | None) -> str | None:
    """An id as it is kept."""
    return None if value is None else mask_payment_cards(str(value))


def _product(value: str | int) -> str:
    """A product's number as it is kept: one in thirty GTINs looks like a card's, and is none."""
    text = str(value)
    if not holds_payment_card_known(text) or is_gtin(text):
        return text
    return mask_payment_cards(text)


def _detail(value: object) -> str | None:
    if not isinstance(value, str) or not value.strip():
        return None
    return mask_payment_cards(value.strip().replace("\0", ""))[:MAX_ID_LENGTH]


def _amount(value: object) -> int:
    amount = read_amount(value)
    if amount is None:
        raise AssertionError("the model has checked it")
    return amount


def _item_added(read: inputs.ItemAdded, shared: _Shared) -> AnyTold:
    return till_events.ItemAdded(
        *shared,
        item_id=_id(read.item_id) or shared[1],
        product_id=_product(read.product_id),
        unit_price=_amount(read.unit_price),
        quantity=_amount(read.quantity),
        product_name=_detail(read.product_name),
        category=_detail(read.category),
    )


def _item_removed(read: inputs.ItemRemoved, shared: _Shared) -> AnyTold:
    if read.item_id is None and read.product_id is None:
        raise UnreadableEvent(DeadLetterReason.MISSING_FIELD, "item_id and product_id are missing")
    return till_events.ItemRemoved(
        *shared,
        item_id=_id(read.item_id),
        product_id=None if read.product_id is None else _product(read.product_id),
        quantity=None if read.quantity is None else _amount(read.quantity),
    )


def _quantity_changed(read: inputs.ItemQuantityChanged, shared: _Shared) -> AnyTold:
    return till_events.QuantityChanged(
        *shared, item_id=mask_payment_cards(str(read.item_id)), quantity=_amount(read.quantity)
    )


def _price_overridden(read: inputs.PriceOverridden, shared: _Shared) -> AnyTold:
    return till_events.PriceOverridden(
        *shared,
        item_id=mask_payment_cards(str(read.item_id)),
        unit_price=_amount(read.unit_price),
    )


def _discount_applied(read: inputs.DiscountApplied, shared: _Shared) -> AnyTold:
    return till_events.DiscountApplied(
        *shared,
        amount=_amount(read.amount),
        item_id=_id(read.item_id),
        code=_detail(read.code),
    )


def _finalized(read: inputs.BasketFinalized, shared: _Shared) -> AnyTold:
    return till_events.Finalized(*shared, reason=_detail(read.reason))


def _voided(read: inputs.BasketVoided, shared: _Shared) -> AnyTold:
    return till_events.Voided(*shared, reason=_detail(read.reason))


def _payment_completed(read: inputs.PaymentCompleted, shared: _Shared) -> AnyTold:
    return till_events.PaymentCompleted(
        *shared,
        payment_id=_id(read.payment_id) or shared[1],
        amount=_amount(read.amount),
        currency=_detail(read.currency),
        method=_detail(read.method),
    )


def _payment_refunded(read: inputs.PaymentRefunded, shared: _Shared) -> AnyTold:
    return till_events.PaymentRefunded(
        *shared,
        refund_id=_id(read.refund_id) or shared[1],
        amount=_amount(read.amount),
        payment_id=_id(read.payment_id),
        method=_detail(read.method),
    )


def _drawer_opened(_: object, shared: _Shared) -> AnyTold:
    return till_events.DrawerOpened(*shared)


def _logged_in(_: object, shared: _Shared) -> AnyTold:
    return till_events.LoggedIn(*shared)


def _logged_out(_: object, shared: _Shared) -> AnyTold:
    return till_events.LoggedOut(*shared)


_Reader = tuple[type[Any], Callable[[Any, Any], AnyTold]]
#: By type, as the contract spells it.
_READERS: Final[Mapping[str, _Reader]] = {
    "ITEM_ADDED": (inputs.ItemAdded, _item_added),
    "ITEM_REMOVED": (inputs.ItemRemoved, _item_removed),
    "ITEM_QUANTITY_CHANGED": (inputs.ItemQuantityChanged, _quantity_changed),
    "PRICE_OVERRIDDEN": (inputs.PriceOverridden, _price_overridden),
    "DISCOUNT_APPLIED": (inputs.DiscountApplied, _discount_applied),
    "BASKET_FINALIZED": (inputs.BasketFinalized, _finalized),
    "BASKET_VOIDED": (inputs.BasketVoided, _voided),
    "PAYMENT_COMPLETED": (inputs.PaymentCompleted, _payment_completed),
    "PAYMENT_REFUNDED": (inputs.PaymentRefunded, _payment_refunded),
    "DRAWER_OPENED": (inputs.DrawerOpened, _drawer_opened),
    "EMPLOYEE_LOGGED_IN": (inputs.EmployeeLoggedIn, _logged_in),
    "EMPLOYEE_LOGGED_OUT": (inputs.EmployeeLoggedOut, _logged_out),
}
#: The types that are read, and the model of each.
TYPES: Final[Mapping[str, type[Any]]] = {name: model for name, (model, _) in _READERS.items()}
_told: Final = msgspec.msgpack.Decoder(Told).decode
_answer: Final = msgspec.json.Decoder(inputs.LookupAnswer).decode
