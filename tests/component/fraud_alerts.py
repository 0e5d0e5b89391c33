"""Records of alerts and verdicts as the topics have them."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from agents.fraud_detection.topics import EPISODES, VERDICTS
from posstream.domain.times import iso_utc_ms
from posstream.read_model.projection import ProjectedEvent

#: 2026-01-31T08:00:00Z.
MORNING = 1_769_846_400_000
PHONE = "+1234567890"


def at(second: int) -> str:
    """A time of the test day."""
    return iso_utc_ms(MORNING + 1000 * second)


def observed(second: int, **fields: str) -> dict[str, Any]:
    """An observation of this second."""
    return {
        "event_id": f"event-{second}",
        "event_type": "PAYMENT_COMPLETED",
        "occurred_at": at(second),
        "fields": {"terminal_id": "t1", **fields},
    }


#: Those of the first customer, and one of another.
OBSERVATIONS = (
    observed(10, customer_id="CUST_001", customer_identifier=PHONE, amount="12.50"),
    observed(9, customer_id="CUST_002", customer_identifier="jane@example.com"),
    observed(8, **{"basket.customer_id": "CUST_001"}),
)


def alert(
    alert_id: str = "a1",
    second: int = 10,
    *,
    group: Mapping[str, str] | None = None,
    observations: Sequence[Mapping[str, Any]] = OBSERVATIONS,
    **changes: Any,
) -> dict[str, Any]:
    """An alert as it is on its topic."""
    return {
        "event_id": alert_id,
        "event_type": "FRAUD_ALERT",
        "schema_version": 1,
        "occurred_at": at(second),
        "alert_id": alert_id,
        "rule_id": "payment_velocity",
        "rule_version": "9b1f0c2d7e3a",
        "rule_name": "Many payments",
        "severity": "MEDIUM",
        "group": {"customer_id": "CUST_001"} if group is None else dict(group),
        "function": "COUNT",
        "value": "3",
        "operator": ">=",
        "limit": "3",
        "window_seconds": 300,
        "window_start": at(second - 300),
        "window_end": at(second),
        "triggered_by": f"event-{second}",
        "observations": list(observations),
        "observations_total": 3,
        "basket_id": "b1",
        "terminal_id": "t1",
        "employee_id": "7",
        "customer_id": "CUST_001",
        "complete_from": None,
        "config_version": 4,
        **changes,
    }


def raised(
    alert_id: str = "a1",
    second: int = 10,
    *,
    revision: int = 1,
    hits: int = 1,
    rule_state: str = "ACTIVE",
    snoozed: bool = False,
    **changes: Any,
) -> ProjectedEvent:
    """A record of the alert's episode."""
    episode = {
        "alert": alert(alert_id, second, **changes),
        "rule_state": rule_state,
        "snoozed": snoozed,
        "hits": hits,
        "last_hit_at": at(second + hits - 1),
        "revision": revision,
    }
    return ProjectedEvent(EPISODES, orjson.dumps(episode), 0, 1, alert_id.encode())


def grown(alert_id: str = "a1", second: int = 10, *, hits: int) -> ProjectedEvent:
    """A record of further hits of the alert."""
    value = {"alert_id": alert_id, "hits": hits, "last_hit_at": at(second + hits - 1)}
    return ProjectedEvent(EPISODES, orjson.dumps(value), 0, 1, alert_id.encode())


def reading(
    percent: int, second: int = 20, *, rule_id: str = "payment_velocity", partition: int = 0
) -> ProjectedEvent:
    """A record of how far past events are read back for a rule that is whole in 2999."""
    value = {
        "rule_id": rule_id,
        "partition": partition,
        "percent": percent,
        "whole_at": "2999-01-01T00:00:00.000Z",
        "at": at(second),
    }
    key = f"{rule_id}/{partition}".encode()
    return ProjectedEvent(EPISODES, orjson.dumps(value), 0, 1, key)


def judged(
    verdict: str,
    second: int = 50,
    *,
    alert_id: str = "a1",
    verdict_id: str | None = None,
    note: str | None = "John said so",
    author: str = "olga",
) -> ProjectedEvent:
    """A record of a verdict."""
    value = {
        "verdict_id": verdict_id or f"{alert_id}-v{second}",
        "alert_id": alert_id,
        "verdict": verdict,
        "note": note,
        "author": author,
        "at": at(second),
    }
    return ProjectedEvent(VERDICTS, orjson.dumps(value), 0, 1, alert_id.encode())
