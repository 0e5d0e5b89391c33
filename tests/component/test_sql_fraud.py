"""The alerts in SQL: the last word of each, its verdicts, read by filters, forgotten customers."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, select
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.fraud_detection import PLUGIN
from agents.fraud_detection.read_model.projection import FraudProjection
from agents.fraud_detection.read_model.queries import FraudAlerts
from agents.fraud_detection.read_model.records import AlertFilter, FraudAlert, RuleFigures
from agents.fraud_detection.read_model.schema import TABLES
from agents.fraud_detection.rules.rule import Severity
from agents.fraud_detection.topics import EPISODES, VERDICTS
from agents.fraud_detection.verdict import AlertStatus
from posstream.domain.times import from_ms
from posstream.forgetting.marks import Forgotten, Trail
from posstream.forgetting.projection import MarkProjection
from posstream.forgetting.record import forgotten
from posstream.kafka.topics import CUSTOMER_FORGOTTEN
from posstream.read_model import schema as platform
from posstream.read_model.engine import create_engine
from posstream.read_model.migrate import upgrade
from posstream.read_model.projection import ProjectedEvent
from posstream.read_model.tables import ReadModelTables
from tests.component.fraud_alerts import (
    MORNING,
    OBSERVATIONS,
    PHONE,
    alert,
    grown,
    judged,
    observed,
    raised,
    reading,
)
from tests.component.sql_databases import DATABASES, database

JOHN = Trail((PHONE,), ("CUST_001",))


@pytest.fixture(params=DATABASES)
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with database(request.param, tmp_path) as url:
        engine = create_engine(url)
        assert await upgrade(engine, [PLUGIN]) == {}
        yield engine
        await engine.dispose()


async def project(engine: AsyncEngine, *events: ProjectedEvent) -> None:
    await FraudProjection(engine).apply(events)


async def forget(engine: AsyncEngine, trail: Trail = JOHN, second: int = 100) -> None:
    assert PLUGIN.read_model is not None
    assert PLUGIN.read_model.erase is not None
    at_ms = MORNING + 1000 * second
    marks = [forgotten(Forgotten(subject, at_ms)) for subject in sorted(trail.subjects)]
    values = [orjson.loads(mark.value or b"") for mark in marks]
    await MarkProjection(engine, [PLUGIN.read_model.erase]).apply(
        [ProjectedEvent(CUSTOMER_FORGOTTEN, value) for value in values]
    )


async def everything(engine: AsyncEngine) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, in a fixed order."""
    async with engine.connect() as connection:
        return {
            table.name: [
                dict(row)
                for row in (
                    await connection.execute(select(table).order_by(*table.primary_key))
                ).mappings()
            ]
            for table in TABLES
        }


async def known(engine: AsyncEngine, alert_id: str = "a1") -> FraudAlert:
    found = await FraudAlerts(engine).by_id(alert_id)
    assert found is not None
    return found


async def test_the_migrated_schema_is_the_declared_one(engine: AsyncEngine) -> None:
    tables = [platform.METADATA, TABLES[0].metadata]

    def differences(connection: Connection) -> list[Any]:
        # Only the version tables of both chains are in no metadata.
        options = {
            "compare_type": True,
            "include_name": lambda name, kind, _: kind != "table" or "_version" not in name,
        }
        context = MigrationContext.configure(connection, opts=options)
        return compare_metadata(context, tables)

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_an_alert_stands_in_one_row_as_it_was_raised(engine: AsyncEngine) -> None:
    await project(engine, raised(hits=3, revision=2, snoozed=True, rule_state="SHADOW"))
    assert await known(engine) == FraudAlert(
        alert_id="a1",
        occurred_at=from_ms(MORNING + 10_000),
        rule_state="SHADOW",
        snoozed=True,
        hits=3,
        last_hit_at=from_ms(MORNING + 12_000),
        status="OPEN",
        document=alert(),
    )
    assert await FraudAlerts(engine).by_id("nobody") is None
    assert await FraudAlerts(engine).by_id("\x00") is None


async def test_the_highest_revision_stays_whatever_comes_again_in_any_order(
    engine: AsyncEngine,
) -> None:
    records = [raised(hits=number, revision=number) for number in range(1, 7)]
    await project(engine, *records)
    whole = await everything(engine)
    chance = random.Random(7)
    for _ in range(5):
        await project(engine, *chance.sample(records, 3))
    assert await everything(engine) == whole
    assert (await known(engine)).hits == 6


@pytest.mark.parametrize("size", [1, 2, 4])
async def test_further_hits_are_counted_in_the_row_of_their_alert(
    engine: AsyncEngine, size: int
) -> None:
    records = [raised(), grown(hits=2), grown(hits=4), grown(hits=3)]
    for start in range(0, len(records), size):
        await project(engine, *records[start : start + size])
    counted = await everything(engine)
    row = await known(engine)
    assert (row.hits, row.last_hit_at, row.document) == (4, from_ms(MORNING + 13_000), alert())
    await project(engine, *records)
    await project(engine, grown("nobody", hits=2))
    assert await everything(engine) == counted


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
async def test_the_newest_verdict_counts_in_any_order_and_the_history_stays(
    engine: AsyncEngine, order: tuple[int, ...]
) -> None:
    records = (
        raised(),
        raised(revision=2, hits=2),
        judged("FALSE_POSITIVE", 50),
        judged("CONFIRMED", 60, note=None, author="pete"),
    )
    for place in order:
        await project(engine, records[place])
    await project(engine, *records)
    found = await known(engine)
    assert (found.status, found.verdict, found.note, found.author, found.judged_at, found.hits) == (
        "CONFIRMED",
        "CONFIRMED",
        None,
        "pete",
        from_ms(MORNING + 60_000),
        2,
    )
    history = (await FraudAlerts(engine).verdicts(["a1", "other", "\x00"]))["a1"]
    assert [(it.verdict, it.note) for it in history] == [
        ("CONFIRMED", None),
        ("FALSE_POSITIVE", "John said so"),
    ]


async def test_an_alert_and_its_verdict_that_come_at_once_find_each_other(
    engine: AsyncEngine,
) -> None:
    for number in range(10):
        name = f"a{number}"
        await asyncio.gather(
            project(engine, raised(name)), project(engine, judged("CONFIRMED", alert_id=name))
        )
        assert (await known(engine, name)).status == "CONFIRMED"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"no json",
        b"[]",
        b"{}",
        b'{"alert": null}',
        b"\xff",
        b"null",
        b'{"x":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    ],
)
async def test_a_record_that_cannot_be_read_holds_up_no_other(
    engine: AsyncEngine, value: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    strange = [ProjectedEvent(topic, value, 0, 7, b"x") for topic in (EPISODES, VERDICTS)]
    timeless = raised("a3", observations=[{**OBSERVATIONS[0], "occurred_at": "yesterday"}])
    await project(engine, *strange, timeless, raised("a2"), raised("bad\x00"))
    rows = await everything(engine)
    # SQLite holds a zero byte, PostgreSQL does not.
    assert {row["alert_id"] for row in rows["fraud_alerts"]} - {"bad\x00"} == {"a2"}
    assert rows["fraud_verdicts"] == []
    for topic in (EPISODES, VERDICTS):
        assert f"skipped an event of {topic}/0/7" in caplog.text


# -- forgotten customers


@pytest.mark.parametrize("order", ["mark first", "rows first", "replayed", "verdict last"])
async def test_a_forgotten_customer_leaves_alerts_and_notes_and_the_rest_stays(
    engine: AsyncEngine, order: str
) -> None:
    records = [
        raised(),
        raised(revision=2, hits=2),
        # Of an employee; John is in one of its observations.
        raised("a2", group={"employee_id": "7"}, customer_id=None),
        # By a scan that the directory did not know, of a till whose clock is a minute fast.
        raised(
            "a3",
            130,
            group={"terminal_id": "t1"},
            customer_id=None,
            observations=[observed(150, customer_identifier=PHONE)],
        ),
        # Of others.
        raised("a4", group={"customer_id": "CUST_002"}, customer_id="CUST_002", observations=[]),
        # Somebody unknown was scanned into his basket, and the other way round.
        raised(
            "a6",
            group={"terminal_id": "t1"},
            customer_id=None,
            observations=[
                observed(
                    1,
                    customer_identifier="nobody@example.com",
                    **{"basket.customer_identifier": PHONE, "basket.customer_id": "CUST_001"},
                ),
                observed(
                    2,
                    customer_identifier=PHONE,
                    **{"basket.customer_identifier": "jane@example.com"},
                ),
            ],
        ),
        # He came back.
        raised("a5", 300, observations=[observed(300, customer_id="CUST_001")]),
    ]
    verdicts = [
        judged("CONFIRMED", 50),
        judged("CONFIRMED", 50, alert_id="a4"),
        judged("UNDECIDED", 400, alert_id="a5"),
        # After he was forgotten.
        judged("CONFIRMED", 120, alert_id="a2", note="settled"),
    ]
    if order != "mark first":
        await project(engine, *records, *verdicts)
    await forget(engine)
    if order == "verdict last":
        await project(engine, *verdicts)
    elif order != "rows first":
        await project(engine, *verdicts)
        await project(engine, *records)
    first = await known(engine)
    jane = OBSERVATIONS[1]
    nameless = [
        {**OBSERVATIONS[0], "fields": {"terminal_id": "t1", "amount": "12.50"}},
        jane,
        {**OBSERVATIONS[2], "fields": {"terminal_id": "t1"}},
    ]
    assert first.document == alert(
        group={"customer_id": ""}, customer_id=None, observations=nameless
    )
    assert (first.hits, first.status, first.note) == (2, "CONFIRMED", None)
    second = await known(engine, "a2")
    assert (second.document["group"], second.document["observations"], second.note) == (
        {"employee_id": "7"},
        nameless,
        "settled",
    )
    (scan,) = (await known(engine, "a3")).document["observations"]
    assert scan["fields"] == {"terminal_id": "t1"}
    scans = (await known(engine, "a6")).document["observations"]
    assert [it["fields"] for it in scans] == [{"terminal_id": "t1"}] * 2
    other = await known(engine, "a4")
    assert (other.document["customer_id"], other.note) == ("CUST_002", "John said so")
    again = await known(engine, "a5")
    assert (again.document["customer_id"], again.note) == ("CUST_001", "John said so")
    of_john = AlertFilter(customer_id="CUST_001")
    assert [it.alert_id for it in await FraudAlerts(engine).listed(of_john, first=9)] == ["a5"]
    rows = await everything(engine)
    left = {(row["alert_id"], row["name"]) for row in rows["fraud_alert_names"]}
    assert {name for alert_id, name in left if alert_id in {"a1", "a2"}} == {
        "CUST_002",
        "jane@example.com",
    }
    assert PHONE not in str(rows)


async def test_a_customer_s_alerts_are_counted_and_exported_without_other_customers(
    engine: AsyncEngine,
) -> None:
    forgetting = PLUGIN.forgetting
    assert forgetting is not None
    of_jane = raised("a2", group={"customer_id": "CUST_002"}, observations=[], customer_id=None)
    scan = observed(7, customer_identifier="jane@example.com", customer_id="CUST_001")
    await project(
        engine,
        raised(observations=[*OBSERVATIONS, scan]),
        of_jane,
        judged("CONFIRMED"),
        judged("UNDECIDED", alert_id="a2"),
    )
    assert await forgetting.rows(engine, JOHN) == {"fraud_alerts": 1, "fraud_verdicts": 1}
    assert await forgetting.rows(engine, Trail((PHONE,))) == {
        "fraud_alerts": 1,
        "fraud_verdicts": 1,
    }
    assert await forgetting.rows(engine, Trail(("CUST_001",), (PHONE,))) == {
        "fraud_alerts": 0,
        "fraud_verdicts": 0,
    }
    exported = await forgetting.export(engine, JOHN)
    (row,), (verdict,) = exported["fraud_alerts"], exported["fraud_verdicts"]
    assert (row["alert_id"], row["customer_id"]) == ("a1", "CUST_001")
    assert row["document"]["group"] == {"customer_id": "CUST_001"}
    assert row["document"]["observations"][0] == OBSERVATIONS[0]
    assert row["document"]["observations"][3]["fields"] == {
        "terminal_id": "t1",
        "customer_id": "CUST_001",
    }
    assert (verdict["verdict"], verdict["at"]) == ("CONFIRMED", "2026-01-31T08:00:50.000Z")
    assert b"jane" not in msgspec.json.encode(exported)
    assert b"CUST_002" not in msgspec.json.encode(exported)


async def test_a_replay_brings_every_row_back(engine: AsyncEngine) -> None:
    records = [raised(), raised("a2"), judged("CONFIRMED")]
    await project(engine, *records)
    assert PLUGIN.read_model is not None
    tables = ReadModelTables(engine, [PLUGIN.read_model])

    async def replayed() -> AsyncIterator[list[ProjectedEvent]]:
        yield [records[0], records[2]]

    assert await tables.unaccounted(replayed()) == {
        "fraud_alerts": 1,
        "fraud_alert_names": 4,
        "fraud_verdicts": 0,
        "fraud_readings": 0,
    }


# -- the list


async def test_the_list_is_read_newest_first_by_filter_and_page_by_page(
    engine: AsyncEngine,
) -> None:
    reading = FraudAlerts(engine)
    many = [
        raised(f"a{number}", number // 2, terminal_id=f"t{number % 3}", customer_id=None)
        for number in range(10)
    ]
    odd = raised("odd", 90, rule_id="void_ratio", severity="HIGH", employee_id="8", basket_id="b9")
    await project(engine, *many, odd, judged("FALSE_POSITIVE", alert_id="a7"))

    async def listed(wanted: AlertFilter, **options: Any) -> list[str]:
        return [it.alert_id for it in await reading.listed(wanted, **{"first": 20, **options})]

    assert await listed(AlertFilter(), first=3) == ["odd", "a9", "a8"]
    place = (from_ms(MORNING + 4000), "a8")
    assert await listed(AlertFilter(), first=3, after=place) == ["a7", "a6", "a5"]
    filters = {
        ("odd",): AlertFilter(rule_id="void_ratio"),
        ("a8", "a5", "a2"): AlertFilter(terminal_id="t2"),
        ("a7",): AlertFilter(status=AlertStatus.FALSE_POSITIVE),
        (): AlertFilter(customer_id="\x00"),
        ("a1", "a0"): AlertFilter(until=from_ms(MORNING + 1000)),
        ("odd", "a9", "a8"): AlertFilter(since=from_ms(MORNING + 4000)),
    }
    for expected, wanted in filters.items():
        assert await listed(wanted) == list(expected)
    alone = [
        AlertFilter(severity=Severity.HIGH),
        AlertFilter(employee_id="8"),
        AlertFilter(basket_id="b9"),
        AlertFilter(customer_id="CUST_001", status=AlertStatus.OPEN, terminal_id="t1"),
    ]
    assert [await listed(wanted) for wanted in alone] == [["odd"]] * len(alone)


async def test_the_figures_of_a_rule_count_a_time_and_every_verdict(engine: AsyncEngine) -> None:
    await project(
        engine,
        *(raised(f"a{number}", number, hits=9) for number in range(6)),
        raised("s1", 5, rule_state="SHADOW"),
        raised("s0", 1, rule_state="SHADOW"),
        raised("v1", 5, rule_id="void_ratio"),
        *(judged("CONFIRMED", alert_id=name) for name in ("a0", "a1", "a5")),
        judged("FALSE_POSITIVE", alert_id="a2"),
        judged("UNDECIDED", alert_id="a3"),
    )
    figures = await FraudAlerts(engine).figures(from_ms(MORNING + 3000))
    assert figures == {
        "payment_velocity": RuleFigures(live=3, shadow=1, confirmed=3, false_positives=1),
        "void_ratio": RuleFigures(live=1),
    }
    assert [figures[it].precision for it in sorted(figures)] == [0.75, None]


@pytest.mark.parametrize("apart", [False, True])
async def test_how_much_a_rule_has_read_back_is_the_mean_of_its_partitions(
    engine: AsyncEngine, *, apart: bool
) -> None:
    records = [
        reading(50, 21),
        reading(0, 20),  # it comes again
        reading(100, 20, partition=1),
        reading(100, 21, rule_id="void_ratio"),
    ]
    for some in [[it] for it in records] if apart else [records]:
        await project(engine, *some)
    alerts = FraudAlerts(engine)
    assert await alerts.warming(from_ms(MORNING)) == {"payment_velocity": 75}
    assert await alerts.warming(from_ms(MORNING + 10**14)) == {}, "then it knows all anyway"
    await project(engine, reading(100, 22))
    assert await alerts.warming(from_ms(MORNING)) == {}
