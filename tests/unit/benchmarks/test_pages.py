import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("confluent_kafka", reason="the extra bench is not installed: make test-bench")

from benchmarks import page_rows
from benchmarks.measures import pages


async def test_each_kind_of_row_is_there(tmp_path: Path) -> None:
    file = tmp_path / "posstream.db"
    await page_rows.fill(f"sqlite:///{file}", customers=20, lookups=300)
    with closing(sqlite3.connect(file)) as database:
        counts = {
            table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - ours
            for table in ("customers", "lookup_answers", "till_baskets", "fraud_alerts")
        }
        failed = database.execute(
            "SELECT count(*) FROM lookup_answers WHERE reason <> 'NOT_FOUND'"
        ).fetchone()
    assert counts == {
        "customers": 20,
        "lookup_answers": 300,
        "till_baskets": 300,
        "fraud_alerts": 300,
    }
    assert failed == (2,)


def test_the_slowest_page_is_named_and_held_to_the_bar() -> None:
    served = {
        "SQLite": {
            "health, the floor": [{"median_ms": 1.0, "p99_ms": 2.0}],
            "lookups": [{"median_ms": 30.0, "p99_ms": 120.0}],
            "customers": [{"median_ms": 40.0, "p99_ms": 60.0}],
        }
    }
    section = pages.section({"served": served})
    assert "| lookups | 30.0 | 120.0 | 30 |" in section
    assert "| p99 of the slowest page on SQLite: lookups | at most 100 ms | 120.0 ms" in section
