"""What a rule would have raised, had it been in force."""

from typing import Any

import msgspec
import pytest

from agents.fraud_detection.engine.facts import TillFacts, facts_of
from agents.fraud_detection.engine.previewed import alerts_of
from agents.fraud_detection.events.inputs import TillEvent
from tests.fraud_observations import rule

AT = "2026-01-31T08:00:00.000Z"


def payment(event_id: str, customer_id: str | None, revision: int, **more: Any) -> TillFacts:
    told = {
        "event_id": event_id,
        "event_type": "PAYMENT_COMPLETED",
        "occurred_at": AT,
        "written_at": AT,
        "revision": revision,
        "fields": {"amount": "12.50", "employee_id": "7"},
        "basket": {
            "status": "PAID",
            "started_at": AT,
            "items": 1,
            "total": "12.50",
            "paid": "12.50",
            "customer_id": customer_id,
        },
    }
    return facts_of(msgspec.convert(told | more, TillEvent))


FIRST = payment("e1", "A", 1)
MOVED = payment("e1", "B", 2, moved_from={"customer_id": "A"})
GONE = payment("e1", None, 3, moved_from={"customer_id": "B"})


@pytest.mark.parametrize(
    ("events", "groups"),
    [
        ([FIRST], ["A"]),
        ([FIRST, MOVED], ["B"]),
        ([MOVED, FIRST], ["B"]),
        ([FIRST, MOVED, GONE], []),
        ([GONE, FIRST], []),
        ([MOVED, payment("e2", "A", 1)], ["B", "A"]),
    ],
)
def test_an_event_counts_for_the_customer_of_its_highest_revision(
    events: list[TillFacts], groups: list[str]
) -> None:
    of = rule(group_by=["customer_id"], limit=1)
    assert [group["customer_id"] for _, _, group in alerts_of(of, events, 0)] == groups
