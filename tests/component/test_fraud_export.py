"""The export of a customer has the observations of the table, and names nobody else."""

from typing import Any

import pytest

from agents.fraud_detection.engine.group_key import group_key
from agents.fraud_detection.exporting_groups import FoundObservations, export_observations
from agents.fraud_detection.topics import OBSERVATIONS
from posstream.domain.errors import BrokerUnreachable
from posstream.forgetting.marks import Trail
from posstream.kafka.connection import producer_of
from posstream.kafka.embedded_broker import EmbeddedBroker, free_port
from tests.component.fraud_fakes import House, at, event
from tests.fraud_observations import rule

JANE, JOHN = 'CUST_"1"', "CUST_002"
NAMES = {JANE: "jane@example.com", JOHN: "+491"}
OF_JANE = Trail((NAMES[JANE],), (JANE,))
NAMED = [{"field": "basket.customer_identifier", "operator": "!=", "value": None}]


def entries(*happened: tuple[str, float, str]) -> list[tuple[bytes, bytes]]:
    """What the table holds after some payments: id, second, customer."""
    many = {"limit": 100, "window_seconds": 200, "where": NAMED}
    house = House(rule(**many), rule(id="of_customers", group_by=["customer_id"], **many))
    for event_id, second, customer_id in happened:
        basket = {"customer_id": customer_id, "customer_identifier": NAMES[customer_id]}
        house.happen(event(event_id, second, basket=basket))
    return [(key, value) for part in house.table.stores for key, value in part.items()]


def found(*changes: tuple[bytes, bytes | None]) -> list[tuple[str, str]]:
    observations = FoundObservations(OF_JANE)
    for key, value in changes:
        observations.take(key, value)
    return [(group_key(it["group"]), it["event_id"]) for it in observations.told()]


OF_7, OF_HER = group_key({"employee_id": "7"}), group_key({"customer_id": JANE})


def test_an_observation_is_found_in_each_of_its_groups() -> None:
    kept = entries(("e1", 1, JANE), ("e2", 2, JOHN), ("e3", 3, JANE))
    assert found(*kept) == [(OF_HER, "e1"), (OF_HER, "e3"), (OF_7, "e1"), (OF_7, "e3")]


def test_sealed_observations_are_found_once() -> None:
    kept = entries(*((f"e{it:02}", it, JANE if it % 2 else JOHN) for it in range(50)))
    assert len(kept) > 5, "heads, segments, and what the partitions note"
    assert found(*kept) == [(key, f"e{it:02}") for key in (OF_HER, OF_7) for it in range(1, 50, 2)]


def test_what_left_the_table_is_not_told() -> None:
    kept = entries(("e1", 1, JANE))
    gone = [(key, None) for key, _ in kept if JANE.encode() in key or b"CUST" in key]
    assert found(*kept, *gone) == [(OF_7, "e1")]
    (head,) = [key for key, _ in kept if key == OF_7.encode()]
    assert found(*kept, *gone, (head, dict(entries(("e2", 2, JOHN)))[head])) == []


async def test_the_changelog_is_read(tmp_path: Any) -> None:
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    try:
        producer = producer_of([broker.address], request_ms=5_000)
        await producer.start()
        for key, value in entries(("e1", 1, JANE), ("e2", 2, JOHN)):
            await producer.send_and_wait(OBSERVATIONS.changelog.name, value, key)
        await producer.stop()
        told = await export_observations([broker.address], OF_JANE)
    finally:
        broker.stop()
    of_employee = [it for it in told["fraud_observations"] if it["group"] == {"employee_id": "7"}]
    assert of_employee == [
        {
            "group": {"employee_id": "7"},
            "event_id": "e1",
            "event_type": "PAYMENT_COMPLETED",
            "occurred_at": at(1),
            "fields": {
                "basket_id": "b1",
                "terminal_id": "t1",
                "employee_id": "7",
                "customer_id": JANE,
                "basket.customer_identifier": "jane@example.com",
            },
        }
    ]


async def test_without_a_broker_it_says_so() -> None:
    with pytest.raises(BrokerUnreachable):
        await export_observations([f"127.0.0.1:{free_port()}"], OF_JANE)
