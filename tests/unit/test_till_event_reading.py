"""What happens at tills is read as the contract says (section 7), or refused with its field."""

from contextlib import suppress
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.baskets import till_events
from agents.baskets.events.gtin import is_gtin
from agents.baskets.events.reading import (
    TYPES,
    Place,
    Told,
    read_answer,
    read_rekeyed,
    read_started,
    read_till_event,
    rekeyed,
)
from posstream.domain.errors import DeadLetterReason, UnreadableEvent
from posstream.domain.payment_card import holds_payment_card
from tests.memory import is_remembered

WRITTEN_MS = 1_769_846_470_000
HERE = Place("pos-events", 3, 17, WRITTEN_MS)
CARD = "4111 1111 1111 1111"
MASKED = "4111 11** **** 1111"
#: A GTIN-13 that could be a card's number, too.
LIKE_A_CARD = "4006381000093"
ITEM = {"basket_id": "b1", "product_id": "p1", "unit_price": "1.99"}
TILL = {"terminal_id": "t1", "employee_id": "7"}
#: Of each type, the least that it needs, and what is read of it besides what all have.
LEAST: dict[str, tuple[dict[str, Any], type[Any], dict[str, Any]]] = {
    "ITEM_ADDED": (
        ITEM,
        till_events.ItemAdded,
        {"item_id": "e1", "product_id": "p1", "unit_price": 19_900, "quantity": 10_000},
    ),
    "ITEM_REMOVED": (
        {"basket_id": "b1", "item_id": "i1"},
        till_events.ItemRemoved,
        {"item_id": "i1", "product_id": None},
    ),
    "ITEM_QUANTITY_CHANGED": (
        {"basket_id": "b1", "item_id": "i1", "quantity": 0},
        till_events.QuantityChanged,
        {"item_id": "i1", "quantity": 0},
    ),
    "PRICE_OVERRIDDEN": (
        {"basket_id": "b1", "item_id": "i1", "unit_price": -0.25},
        till_events.PriceOverridden,
        {"item_id": "i1", "unit_price": -2_500},
    ),
    "DISCOUNT_APPLIED": (
        {"basket_id": "b1", "amount": 0.1},
        till_events.DiscountApplied,
        {"amount": 1_000},
    ),
    "BASKET_FINALIZED": ({"basket_id": "b1"}, till_events.Finalized, {}),
    "BASKET_VOIDED": ({"basket_id": "b1"}, till_events.Voided, {}),
    "PAYMENT_COMPLETED": (
        {"basket_id": "b1", "amount": "3.98"},
        till_events.PaymentCompleted,
        {"payment_id": "e1", "amount": 39_800},
    ),
    "PAYMENT_REFUNDED": (
        {"basket_id": "b1", "amount": 1},
        till_events.PaymentRefunded,
        {"refund_id": "e1", "amount": 10_000},
    ),
    "DRAWER_OPENED": (TILL, till_events.DrawerOpened, TILL),
    "EMPLOYEE_LOGGED_IN": (TILL, till_events.LoggedIn, TILL),
    "EMPLOYEE_LOGGED_OUT": (TILL, till_events.LoggedOut, TILL),
}
SPELT = {
    "ITEM_ADDED": ["item.added", "Item-Added", " item_added "],
    "ITEM_REMOVED": ["item.removed"],
    "ITEM_QUANTITY_CHANGED": [
        "item-quantity-changed",
        "ITEM_QUANTITY_UPDATED",
        "item.quantity.updated",
    ],
    "PRICE_OVERRIDDEN": ["price.overridden"],
    "DISCOUNT_APPLIED": ["discount-applied"],
    "BASKET_FINALIZED": ["basket.finalized"],
    "BASKET_VOIDED": ["Basket_Voided"],
    "PAYMENT_COMPLETED": ["payment.completed"],
    "PAYMENT_REFUNDED": ["payment.refunded"],
    "DRAWER_OPENED": ["drawer.opened"],
    "EMPLOYEE_LOGGED_IN": ["employee.login", "EMPLOYEE_LOGIN", "employee-logged-in"],
    "EMPLOYEE_LOGGED_OUT": ["employee.logout", "EMPLOYEE_LOGOUT", "session.terminated"],
}
#: Other names of fields, and a value of each.
ALIASES = [
    ("ITEM_ADDED", "unit_price", "price", "2.50"),
    ("ITEM_QUANTITY_CHANGED", "quantity", "new_quantity", 3),
    ("PAYMENT_COMPLETED", "amount", "total_amount", "9.99"),
    ("PAYMENT_COMPLETED", "method", "payment_method", "CARD"),
]


def read(event_type: Any, fields: dict[str, Any], **more: Any) -> Any:
    """What is read of an event; the least of the type, unless other fields are given."""
    value = orjson.dumps({"event_type": event_type, "event_id": "e1", **fields, **more})
    return read_till_event(value, HERE)


def refused(event_type: Any, fields: dict[str, Any], **more: Any) -> tuple[str, str]:
    with pytest.raises(UnreadableEvent) as why:
        read(event_type, fields, **more)
    return why.value.reason, str(why.value)


def test_each_type_of_the_contract_is_tested_here() -> None:
    assert TYPES.keys() == LEAST.keys() == SPELT.keys()


@pytest.mark.parametrize("event_type", LEAST)
def test_each_type_is_read_with_the_least_that_it_needs(event_type: str) -> None:
    fields, kind, expected = LEAST[event_type]
    told = read(event_type, fields)
    assert type(told.event) is kind
    assert told.basket_id == fields.get("basket_id")
    assert (
        msgspec.structs.asdict(told.event)
        == dict.fromkeys(kind.__struct_fields__)
        | {
            "occurred_at_ms": WRITTEN_MS,
            "written_at_ms": WRITTEN_MS,
            "event_id": "e1",
        }
        | expected
    )


@pytest.mark.parametrize(("event_type", "spelt"), [(it, to) for it in SPELT for to in SPELT[it]])
def test_a_type_is_read_in_other_spellings(event_type: str, spelt: str) -> None:
    fields = LEAST[event_type][0]
    assert read(event_type, fields) == read(spelt, fields) == read(event_type.lower(), fields)


@pytest.mark.parametrize(("event_type", "name", "other", "value"), ALIASES)
def test_a_field_is_read_under_its_other_name_and_its_own_name_comes_first(
    event_type: str, name: str, other: str, value: Any
) -> None:
    least = {key: it for key, it in LEAST[event_type][0].items() if key != name}
    named = read(event_type, least, **{name: value})
    assert named == read(event_type, least, **{other: value})
    assert named == read(event_type, least, **{name: value, other: "77"})
    assert named == read(event_type, least, **{name: None, other: value})


REQUIRED = [(event_type, name) for event_type, (fields, _, _) in LEAST.items() for name in fields]


@pytest.mark.parametrize(("event_type", "name"), REQUIRED)
@pytest.mark.parametrize("as_null", [False, True])
def test_a_missing_field_is_named(event_type: str, name: str, *, as_null: bool) -> None:
    fields = {key: value for key, value in LEAST[event_type][0].items() if key != name}
    if as_null:
        fields[name] = None
    reason, told = refused(event_type, fields)
    assert reason == DeadLetterReason.MISSING_FIELD
    assert name in told
    assert told.endswith(("is missing", "are missing"))


@pytest.mark.parametrize(("event_type", "name"), REQUIRED)
@pytest.mark.parametrize("value", [True, [], {}, "", " ", "a\nb", "x" * 257])
def test_an_unusable_field_is_named(event_type: str, name: str, value: Any) -> None:
    reason, told = refused(event_type, LEAST[event_type][0], **{name: value})
    assert reason == DeadLetterReason.INVALID_FIELD
    assert told.startswith(f"{name} must be ")


AMOUNTS = [
    ("ITEM_ADDED", "unit_price"),
    ("ITEM_ADDED", "quantity"),
    ("ITEM_REMOVED", "quantity"),
    ("ITEM_QUANTITY_CHANGED", "quantity"),
    ("PRICE_OVERRIDDEN", "unit_price"),
    ("DISCOUNT_APPLIED", "amount"),
    ("PAYMENT_COMPLETED", "amount"),
    ("PAYMENT_REFUNDED", "amount"),
]


@pytest.mark.parametrize(("event_type", "name"), AMOUNTS)
@pytest.mark.parametrize("value", ["1.23456", "1e3", "1,5", "NaN", "1234567890123", True, [1]])
def test_what_is_no_amount_is_refused_by_its_field(event_type: str, name: str, value: Any) -> None:
    reason, told = refused(event_type, LEAST[event_type][0], **{name: value})
    assert reason == DeadLetterReason.INVALID_FIELD
    assert told.startswith(f"{name} must be a decimal")


@pytest.mark.parametrize(
    ("event_type", "name", "value"),
    [
        ("ITEM_ADDED", "quantity", 0),
        ("ITEM_ADDED", "quantity", -1),
        ("ITEM_REMOVED", "quantity", 0),
        ("ITEM_QUANTITY_CHANGED", "quantity", -1),
        ("DISCOUNT_APPLIED", "amount", "-0.01"),
        ("PAYMENT_COMPLETED", "amount", -1),
        ("PAYMENT_REFUNDED", "amount", -1),
    ],
)
def test_an_amount_below_what_makes_sense_is_refused(
    event_type: str, name: str, value: Any
) -> None:
    assert refused(event_type, LEAST[event_type][0], **{name: value})[1].startswith(name)


@pytest.mark.parametrize(("event_type", "name"), AMOUNTS)
@pytest.mark.parametrize(
    ("written", "amount"),
    [
        (b"0.1", 1_000),
        (b'"0.1"', 1_000),
        (b"123456789012.1234", 1_234_567_890_121_234),
        (b'"999999999999.9999"', 9_999_999_999_999_999),
        (b"1.5E2", 1_500_000),
        (b"19.90", 199_000),
    ],
)
def test_money_and_quantities_are_read_to_the_last_digit(
    event_type: str, name: str, written: bytes, amount: int
) -> None:
    event = orjson.dumps({"event_type": event_type, **LEAST[event_type][0], name: "HERE"})
    told = read_till_event(event.replace(b'"HERE"', written), HERE)
    assert told is not None
    assert getattr(told.event, name) == amount


def test_a_float_of_a_careless_sum_is_refused_and_not_rounded() -> None:
    assert refused("ITEM_ADDED", ITEM, unit_price=0.1 + 0.2)[1].startswith("unit_price must be")


@pytest.mark.parametrize(
    "event_type", ["CUSTOMER_SMILED", "ITEM ADDED", "", "item/added", "ITEM_ADDED2"]
)
def test_other_types_are_left_alone_whatever_else_they_hold(event_type: str) -> None:
    assert read(event_type, {"basket_id": CARD, "amount": "x"}) is None


@pytest.mark.parametrize("event_type", [None, 5, ["ITEM_ADDED"], {}])
def test_an_event_without_a_type_is_refused(event_type: Any) -> None:
    assert refused(event_type, ITEM)[1].startswith("event_type ")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "TOMBSTONE"),
        (b"", "EMPTY"),
        (b"nothing", "NOT_JSON"),
        (b'{"event_type":"ITEM_ADDED","basket_id":"\xff"}', "NOT_UTF8"),
        (b'{"event_type":"ITEM_ADDED","unit_price":NaN}', "NOT_JSON"),
        (b"[1]", "NOT_AN_OBJECT"),
        (b'{"pad":"' + b"x" * 65_536 + b'"}', "TOO_LARGE"),
    ],
)
def test_what_is_no_event_at_all_is_refused(value: bytes | None, reason: str) -> None:
    with pytest.raises(UnreadableEvent) as why:
        read_till_event(value, HERE)
    assert why.value.reason == reason


# -- when, who and what


@pytest.mark.parametrize(
    ("times", "occurred_at_ms"),
    [
        ({}, WRITTEN_MS),
        ({"occurred_at": "2026-01-31T08:00:00Z"}, 1_769_846_400_000),
        ({"timestamp": "2026-01-31T08:00:00Z"}, 1_769_846_400_000),
        ({"occurred_at": None, "timestamp": "2026-01-31T09:00:00+01:00"}, 1_769_846_400_000),
        ({"occurred_at": "2026-01-31T08:00:00Z", "timestamp": "1999"}, 1_769_846_400_000),
        ({"occurred_at": "soon"}, WRITTEN_MS),
        ({"timestamp": 1_700_000_000}, WRITTEN_MS),
        ({"occurred_at": "1969-12-31T23:59:59Z"}, -1_000),
    ],
)
def test_an_event_happened_when_it_says_so_else_when_it_was_written(
    times: dict[str, Any], occurred_at_ms: int
) -> None:
    assert occurred_at_ms == read("ITEM_ADDED", ITEM, **times).event.occurred_at_ms


def test_an_event_without_an_id_has_one_of_its_place_which_is_its_items_too() -> None:
    value = orjson.dumps({"event_type": "ITEM_ADDED", **ITEM})
    first, again = (read_till_event(value, HERE) for _ in range(2))
    elsewhere = read_till_event(value, Place("pos-events", 3, 18, WRITTEN_MS))
    assert first is not None
    assert elsewhere is not None
    assert first == again
    assert first.event.event_id == first.event.item_id != elsewhere.event.event_id  # type: ignore[union-attr]


def test_a_number_is_an_id_too() -> None:
    told = read("ITEM_ADDED", ITEM, basket_id=5, product_id=6, item_id=7, terminal_id=8)
    assert (
        told.basket_id,
        told.event.product_id,
        told.event.item_id,
        told.event.terminal_id,
    ) == ("5", "6", "7", "8")


# -- payment cards


@pytest.mark.parametrize("event_type", LEAST)
@pytest.mark.parametrize("name", ["basket_id", "terminal_id", "employee_id"])
@pytest.mark.parametrize("card", [CARD, "4111111111111111", "till 4111-1111-1111-1111"])
def test_a_card_in_an_id_refuses_the_event(event_type: str, name: str, card: str) -> None:
    if name not in TYPES[event_type].__struct_fields__:
        assert read(event_type, LEAST[event_type][0], **{name: card}).basket_id is None
        return
    told = refused(event_type, LEAST[event_type][0], **{name: card})
    assert told == (DeadLetterReason.INVALID_FIELD, f"{name} holds a payment-card number")


def test_a_shop_whose_own_ids_collide_with_cards_reads_them() -> None:
    value = orjson.dumps({"event_type": "ITEM_ADDED", **ITEM, "basket_id": CARD})
    told = read_till_event(value, HERE, card_guard=False)
    assert told is not None
    assert told.basket_id == CARD


TEXTS = [
    (event_type, name)
    for event_type, model in TYPES.items()
    for name in model.__struct_fields__
    if name not in {"event_type", "occurred_at", "basket_id", "terminal_id", "employee_id"}
    and (event_type, name) not in AMOUNTS
]


@pytest.mark.parametrize(("event_type", "name"), TEXTS)
def test_a_card_in_any_other_text_is_masked(event_type: str, name: str) -> None:
    told = read(event_type, LEAST[event_type][0], **{name: f"seen {CARD}"})
    assert getattr(told.event, name) == f"seen {MASKED}"
    assert not holds_payment_card(repr(told))
    number = read(event_type, LEAST[event_type][0], **{name: "4111111111111111"})
    assert not holds_payment_card(repr(number))


@pytest.mark.parametrize(
    "name", ["event_type", "occurred_at", "basket_id", "employee_id", "product_id", "unit_price"]
)
def test_a_card_that_is_refused_or_masked_does_not_stay_in_memory(name: str) -> None:
    number = "4000056655665556"
    value = orjson.dumps({"event_type": "ITEM_ADDED", **ITEM, **TILL, name: number})
    with suppress(UnreadableEvent):
        read_till_event(value, HERE)
    assert not is_remembered(number)


@pytest.mark.parametrize("product_id", [LIKE_A_CARD, int(LIKE_A_CARD)])
def test_the_number_of_a_product_is_kept_though_it_looks_like_a_cards(product_id: Any) -> None:
    assert holds_payment_card(LIKE_A_CARD)
    assert read("ITEM_ADDED", ITEM, product_id=product_id).event.product_id == LIKE_A_CARD
    removed = read("ITEM_REMOVED", {"basket_id": "b1", "product_id": product_id})
    assert removed.event.product_id == LIKE_A_CARD
    named = read("ITEM_ADDED", ITEM, product_name=LIKE_A_CARD)
    assert named.event.product_name == "400638***0093"


ANSWER = {"event_id": "a1", "basket_id": "b1", "customer_identifier": "+1234567890"}


@pytest.mark.parametrize(
    "changes",
    [
        {"event_id": CARD},
        {"customer_identifier": CARD},
        {"customer": {"customer_id": CARD, "tier": "GOLD"}},
        {"customer": {"customer_id": "C1", "tier": CARD}},
        {"reason": CARD},
    ],
)
def test_a_card_in_an_answer_is_masked(changes: dict[str, Any]) -> None:
    value = orjson.dumps(ANSWER | changes)
    assert not holds_payment_card(repr(read_answer(value, HERE)))
    assert holds_payment_card(repr(read_answer(value, HERE, card_guard=False)))


def test_a_card_in_the_basket_id_of_an_answer_refuses_it() -> None:
    value = orjson.dumps(ANSWER | {"basket_id": CARD})
    with pytest.raises(UnreadableEvent, match="basket_id holds a payment-card number"):
        read_answer(value, HERE)
    assert read_answer(value, HERE, card_guard=False).basket_id == CARD


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("96385074", True),  # the examples of GS1's own pages
        ("614141000036", True),
        ("4006381333931", True),
        ("10614141000415", True),
        ("4006381333932", False),
        ("400638133393", False),
        ("4111111111111111", False),
        ("400638133393\N{ARABIC-INDIC DIGIT ONE}", False),
        ("4006381 33393", False),
        ("", False),
    ],
)
def test_a_gtin_is_told_by_its_length_and_check_digit(text: str, *, expected: bool) -> None:
    assert expected == is_gtin(text)


@pytest.mark.parametrize(
    ("said", "kept"),
    [("x" * 300, "x" * 256), ("  a\0b ", "ab"), (" ", None), (5, None), ([], None)],
)
def test_a_text_that_changes_nothing_never_refuses_an_event(said: Any, kept: str | None) -> None:
    assert kept == read("ITEM_ADDED", ITEM, product_name=said).event.product_name


# -- other topics


def test_a_start_is_read_from_its_own_topic() -> None:
    fields = {"basket_id": "b1", "employee_id": 7, "terminal_id": "t1", "event_id": 5}
    told = read_started(orjson.dumps({**fields, "customer_identifier": CARD}), HERE)
    assert told.basket_id == "b1"
    assert told.event == till_events.Started(
        WRITTEN_MS, told.event.event_id, WRITTEN_MS, "7", "t1", MASKED
    )
    with pytest.raises(UnreadableEvent, match="terminal_id is missing"):
        read_started(orjson.dumps({**fields, "terminal_id": None}), HERE)


def test_an_answer_counts_at_the_time_of_its_scan() -> None:
    answer = {
        "event_id": "a1",
        "basket_id": "b1",
        "customer_identifier": "+1",
        "occurred_at": "2026-01-31T08:00:09Z",
        "identified_at": "2026-01-31T08:00:00Z",
    }
    found = {**answer, "customer": {"customer_id": "C1", "tier": "GOLD", "other": [1]}}
    failed = {**answer, "reason": "NOT_FOUND", "customer": None}
    at_ms = 1_769_846_400_000
    assert read_answer(orjson.dumps(found), HERE).event == till_events.Identified(
        at_ms, "a1", WRITTEN_MS, "+1", "C1", "GOLD"
    )
    assert read_answer(orjson.dumps(failed), HERE).event == till_events.NotIdentified(
        at_ms, "a1", WRITTEN_MS, "+1", "NOT_FOUND"
    )


@pytest.mark.parametrize("event_type", LEAST)
def test_an_event_comes_back_from_another_partition_as_it_was_read(event_type: str) -> None:
    told: Told = read(event_type, LEAST[event_type][0])
    record = rekeyed(told, "rekeyed", 5)
    assert (record.key, record.partition) == ((told.basket_id or "").encode() or None, 5)
    assert told == read_rekeyed(record.value)


@given(st.binary(max_size=40) | st.none())
def test_no_bytes_on_the_internal_topic_raise_anything_else(value: bytes | None) -> None:
    with suppress(UnreadableEvent):
        assert isinstance(read_rekeyed(value), Told)


VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.just([])
    | st.sampled_from(["1.5", "b1", CARD, LIKE_A_CARD])
)
NAMES = sorted({name for model in TYPES.values() for name in model.__struct_fields__})


@given(st.sampled_from(sorted(TYPES)), st.dictionaries(st.sampled_from([*NAMES, "price"]), VALUES))
def test_whatever_a_till_writes_is_read_or_refused(event_type: str, fields: dict[str, Any]) -> None:
    """Anything else would stop the plugin at the fourth such event in a minute."""
    least = LEAST[event_type][0]
    try:
        value = orjson.dumps({**least, **fields, "event_type": event_type})
    except TypeError:  # beyond 64 bits
        return
    try:
        told = read_till_event(value, HERE)
    except UnreadableEvent:
        return
    assert told is not None
    assert not holds_payment_card(repr(told).replace(LIKE_A_CARD, ""))
    assert read_rekeyed(rekeyed(told, "rekeyed", 0).value) == told


def test_the_models_say_which_fields_are_required() -> None:
    required = {
        name: {it.name for it in msgspec.structs.fields(model) if it.required} - {"event_type"}
        for name, model in TYPES.items()
    }
    assert required == {
        name: set(fields) - ({"item_id"} if name == "ITEM_REMOVED" else set())
        for name, (fields, _, _) in LEAST.items()
    }


@pytest.mark.parametrize(
    "value", [b'{"event_id":"\xff"}', b'{"x":' + b"[" * 5_000 + b"]" * 5_000 + b"}"]
)
def test_an_answer_that_no_reader_can_decode_is_unreadable(value: bytes) -> None:
    with pytest.raises(UnreadableEvent):
        read_answer(value, HERE)


@pytest.mark.parametrize("value", [b"\x92\x99\xa7started\x01\xa1\xff", b"\x92\xa1\xff"])
def test_a_rekeyed_event_that_is_no_text_is_unreadable(value: bytes) -> None:
    with pytest.raises(UnreadableEvent):
        read_rekeyed(value)
