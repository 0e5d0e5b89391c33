"""Heartbeats for tests."""

from typing import Any

from posstream.fleet.heartbeat import Heartbeat, Share, heartbeat_record

HERE, OTHER = "posstream-here", "posstream-other"
ADDRESSES = {HERE: "one:8000", OTHER: "two:8000"}


def beat(worker: str = OTHER, **fields: Any) -> Heartbeat:
    """A heartbeat of one of two workers."""
    given: dict[str, Any] = {
        "address": ADDRESSES.get(worker, "three:8000"),
        "version": "1.2.3",
        "started_at": "2026-01-31T08:00:00.000Z",
        "shares": (
            Share(plugin="customer_lookup", topic="customer-identified", partitions=(0, 3), lag=7),
        ),
        "configurations": {"customer_lookup": 4},
    }
    return Heartbeat(worker=worker, **given | fields)


def value_of(it: Heartbeat) -> bytes:
    """Its value on the topic."""
    value = heartbeat_record(it).value
    assert value is not None
    return value
