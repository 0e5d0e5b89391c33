"""The plugin's events that others may rely on, each with an example. No I/O."""

from typing import Any, Final

from agents.fraud_detection import topics
from agents.fraud_detection.events.outputs import FraudAlertRaised
from posstream.events.model import EventModel

_IDS: Final[dict[str, str]] = {
    "basket_id": "basket_0123456789ab",
    "terminal_id": "t1",
    "employee_id": "1",
    "customer_id": "CUST_001",
}
_EXAMPLE: Final[dict[str, Any]] = {
    "event_id": "5e0f3b0c-6f0e-5d3b-9d0f-7a0c5b8f4c11",
    "event_type": "FRAUD_ALERT",
    "schema_version": 1,
    "occurred_at": "2026-01-31T08:04:10.000Z",
    "alert_id": "5e0f3b0c-6f0e-5d3b-9d0f-7a0c5b8f4c11",
    "rule_id": "payment_velocity",
    "rule_version": "9b1f0c2d7e3a",
    "rule_name": "Many payments of a customer",
    "severity": "MEDIUM",
    "group": {"customer_id": "CUST_001"},
    "function": "COUNT",
    "value": "3",
    "operator": ">=",
    "limit": "3",
    "window_seconds": 300,
    "window_start": "2026-01-31T07:59:10.000Z",
    "window_end": "2026-01-31T08:04:10.000Z",
    "triggered_by": "pay_3",
    "observations": [
        {
            "event_id": f"pay_{number}",
            "event_type": "PAYMENT_COMPLETED",
            "occurred_at": f"2026-01-31T08:0{number + 1}:10.000Z",
            "fields": _IDS,
        }
        for number in (3, 2, 1)
    ],
    "observations_total": 3,
    **_IDS,
    "complete_from": None,
    "config_version": 0,
}

EVENTS: Final = (
    EventModel(
        topic=topics.FRAUD_ALERT_RAISED,
        name="FraudAlertRaised",
        summary="A rule holds for a group, at the first event of an episode.",
        model=FraudAlertRaised,
        example=_EXAMPLE,
    ),
)
