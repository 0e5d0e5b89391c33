"""What fraud detection reads of a till event, and which spellings of tills fire which rule."""

from typing import Any

import msgspec
import pytest

from agents.fraud_detection.engine.facts import facts_of, group_in, is_too_late, observation_for
from agents.fraud_detection.engine.group_key import group_key, group_of
from agents.fraud_detection.events.inputs import TillEvent
from agents.fraud_detection.rules.plan import plan_of
from agents.fraud_detection.rules.shipped import SHIPPED
from posstream.domain.errors import UnreadableEvent
from tests.fraud_observations import condition, rule
from tests.fraud_till import Tills
from tests.memory import is_remembered

AT = "2026-01-31T08:00:00.000Z"
EVENT: dict[str, Any] = {
    "event_id": "e1",
    "event_type": "PAYMENT_COMPLETED",
    "occurred_at": AT,
    "written_at": AT,
    "basket_id": "b1",
    "revision": 3,
    "fields": {"amount": "12.50", "method": "CASH", "terminal_id": "t2", "payment_id": "p1"},
    "basket": {
        "status": "PAID",
        "started_at": "2026-01-31T07:59:29.500Z",
        "items": 2,
        "total": "12.50",
        "paid": "12.50",
        "customer_id": "CUST_001",
        "tier": "GOLD",
        "employee_id": "7",
        "terminal_id": "t1",
    },
}


def event(**changes: Any) -> TillEvent:
    return msgspec.convert(EVENT | changes, TillEvent)


def test_facts_are_those_of_the_event_and_of_its_basket() -> None:
    assert facts_of(event()).facts == {
        "amount": 125_000,
        "method": "CASH",
        "payment_id": "p1",
        "terminal_id": "t2",  # the event's own
        "employee_id": "7",  # the basket's
        "customer_id": "CUST_001",
        "basket_id": "b1",
        "basket.total": 125_000,
        "basket.paid": 125_000,
        "basket.items": 20_000,
        "basket.age_seconds": 305_000,
        "basket.status": "PAID",
        "basket.customer_id": "CUST_001",
        "basket.tier": "GOLD",
    }


def test_an_event_of_no_basket_has_its_own_fields() -> None:
    facts = facts_of(event(basket_id=None, basket=None, fields={"employee_id": "7"}))
    assert facts.facts == {"employee_id": "7"}


def test_the_total_of_a_basket_may_be_larger_than_any_amount() -> None:
    basket = EVENT["basket"] | {"total": "99999999999999999999999.00"}
    assert facts_of(event(basket=basket)).facts["basket.total"] == 2**63 - 1


@pytest.mark.parametrize(
    ("seconds_ahead", "at_ms_ahead", "clock"), [(60, 60_000, None), (60.001, 0, "replaced")]
)
def test_a_clock_that_is_ahead_is_replaced_by_the_broker_s(
    seconds_ahead: float, at_ms_ahead: int, clock: str | None
) -> None:
    facts = facts_of(event(occurred_at=f"2026-01-31T08:01:{seconds_ahead - 60:06.3f}Z"))
    assert facts.at_ms - facts.written_ms == at_ms_ahead
    assert facts.facts.get("clock") == clock
    assert facts.facts["basket.age_seconds"] == 305_000 + at_ms_ahead * 10


def test_an_event_is_too_late_once_it_is_older_than_the_lateness() -> None:
    facts = facts_of(event(written_at="2026-01-31T08:00:10.000Z"))
    assert not is_too_late(facts, 10_000)
    assert is_too_late(facts, 9_999)


@pytest.mark.parametrize(
    ("told", "event_type"),
    [
        ("CUSTOMER_DATA_FETCHED", "CUSTOMER_IDENTIFIED"),
        ("CUSTOMER_LOOKUP_FAILED", "CUSTOMER_LOOKUP_FAILED"),
        ("ITEM_ADDED", "ITEM_ADDED"),
    ],
)
def test_an_answer_is_a_scan(told: str, event_type: str) -> None:
    assert facts_of(event(event_type=told)).event_type == event_type


@pytest.mark.parametrize(
    "changes",
    [
        {"occurred_at": "now"},
        {"written_at": ""},
        {"fields": {"amount": "much"}},
        {"basket": EVENT["basket"] | {"total": "much"}},
        {"basket": EVENT["basket"] | {"paid": "NaN"}},
        {"basket": EVENT["basket"] | {"started_at": "then"}},
    ],
)
def test_what_cannot_be_read_is_no_event(changes: dict[str, Any]) -> None:
    with pytest.raises(UnreadableEvent, match="must be a"):
        facts_of(event(**changes))


def test_a_refused_time_is_not_remembered() -> None:
    with pytest.raises(UnreadableEvent, match="must be a time"):
        facts_of(event(occurred_at="4000056655665556"))
    assert not is_remembered("4000056655665556")
    assert is_remembered(AT)  # the time before it


def test_a_grouping_takes_the_events_that_have_its_fields_and_records_what_it_needs() -> None:
    with_amount = rule(where=[condition("amount", ">", 1)], group_by=["terminal_id", "employee_id"])
    (plan,) = plan_of([with_amount]).groupings
    facts = facts_of(event())
    group = group_in(plan, facts)
    assert group == {"employee_id": "7", "terminal_id": "t2"}
    assert group_key(group) == '{"employee_id":"7","terminal_id":"t2"}'
    assert group_of(group_key(group)) == group
    recorded = observation_for(plan, facts)
    assert set(recorded.facts) == {
        "amount", "basket_id", "terminal_id", "employee_id", "customer_id"
    }  # fmt: skip
    assert group_in(plan, facts_of(event(event_type="ITEM_ADDED"))) is None
    assert group_in(plan, facts_of(event(basket=None))) is None


def at(second: int) -> str:
    return f"2026-01-31T08:{second // 60:02}:{second % 60:02}Z"


def item(second: int, **changes: Any) -> dict[str, Any]:
    said = {
        "event_type": "item.added",
        "timestamp": at(second),
        "basket_id": "b1",
        "terminal_id": 1,
        "employee_id": 7,
        "product_id": 17,
        "price": 9.99,
    }
    return said | changes


def payment(second: int, amount: Any, **changes: Any) -> dict[str, Any]:
    said = {
        "event_type": "payment.completed",
        "timestamp": at(second),
        "basket_id": "b1",
        "total_amount": amount,
        "payment_method": "CARD",
    }
    return said | changes


def login(second: int, event_type: str = "EMPLOYEE_LOGIN") -> dict[str, Any]:
    return {
        "event_type": event_type,
        "timestamp": at(second),
        "employee_id": 7,
        "terminal_id": "t1",
    }


def scanned(second: int) -> dict[str, Any]:
    return {
        "event_type": "CUSTOMER_IDENTIFIED",
        "occurred_at": at(second),
        "basket_id": "b1",
        "customer_identifier": "+1234567890",
    }


OF_7 = {"employee_id": 7, "terminal_id": "t1"}


@pytest.mark.parametrize(
    ("rule_id", "messages"),
    [
        ("max_amount", [payment(0, 1000.0)]),
        ("max_amount", [payment(0, "1000", event_type="payment-completed")]),
        ("max_amount", [payment(0, "1000.0000", event_type="PAYMENT_COMPLETED")]),
        ("max_amount", [payment(0, None) | {"amount": 1000}]),
        ("anonymous_payment", [payment(0, 500, event_type="Payment.Completed")]),
        ("rapid_items", [item(second) for second in range(10)]),
        ("rapid_items", [item(it, event_type="ITEM_ADDED", price="1") for it in range(10)]),
        ("rapid_items", [item(it, event_type="item-added") for it in range(10)]),
        ("multiple_terminals", [item(0), item(9, terminal_id=2, basket_id="b2")]),
        ("multiple_terminals", [login(0), item(9, terminal_id="t2")]),
        ("multiple_terminals", [login(0, "employee.login"), item(9, terminal_id="t2")]),
        ("high_value_after_login", [login(0), payment(9, 1000, **OF_7)]),
        ("high_value_after_login", [login(0, "employee-logged-in"), payment(9, 1000, **OF_7)]),
        ("payment_velocity", [scanned(0), *(payment(it, 5) for it in (1, 2, 3))]),
    ],
)
def test_a_till_s_own_spellings_fire_the_rules_they_should(
    rule_id: str, messages: list[dict[str, Any]]
) -> None:
    tills = Tills(SHIPPED)
    *before, last = [{it.rule.rule.id for it in tills.say(message)} for message in messages]
    assert rule_id in last
    assert not any(rule_id in fired for fired in before)


@pytest.mark.parametrize("event_type", ["EMPLOYEE_LOGOUT", "session.terminated"])
def test_a_logout_in_a_till_s_own_spelling_ends_the_session(event_type: str) -> None:
    tills = Tills(SHIPPED)
    messages = [login(0), login(5, event_type), payment(9, 1000, **OF_7)]
    fired = {it.rule.rule.id for message in messages for it in tills.say(message)}
    assert fired == {"max_amount", "anonymous_payment", "rapid_checkout"}


def test_a_late_scan_gives_its_customer_to_the_payments_behind_it() -> None:
    tills = Tills([it for it in SHIPPED if it.id == "payment_velocity"])
    messages = [payment(1, 1), payment(2, 1), payment(3, 1), scanned(0)]
    assert [len(tills.say(message)) for message in messages] == [0, 0, 0, 1]
