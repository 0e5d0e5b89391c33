"""The page of the outage drill: started, reported and stopped through the web view."""

import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import orjson
import pytest

from agents.customer_lookup.drills.drill import Drill, Fault, drill_record
from agents.customer_lookup.topics import OUTAGE_DRILLS
from posstream.domain.access_key import read_access_keys
from posstream.settings import Settings
from tests.component.fakes import NOW, NOW_MS
from tests.component.html_page import HtmlPage
from tests.component.sql_databases import failed, found, logged
from tests.component.sql_web import running_sql_web
from tests.component.web_client import WebView, running_web

KEY = "support-key-0123"
PLAN = {"fault": "LATENCY", "percent": "30", "milliseconds": "2000", "minutes": "5"}


@pytest.fixture
async def web() -> AsyncIterator[WebView]:
    async with running_web() as view:
        yield view


@pytest.fixture
def audit(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "posstream.audit")
    return caplog


async def get(web: WebView, path: str = "/drill") -> HtmlPage:
    return HtmlPage.of(await (await web.client.get(path)).text())


async def post(web: WebView, path: str = "/drill", status: int = 200, **fields: str) -> HtmlPage:
    response = await web.client.post(path, data=fields)
    assert response.status == status
    return HtmlPage.of(await response.text())


async def test_a_drill_is_written_for_all_workers_and_ends_by_itself(
    web: WebView, audit: pytest.LogCaptureFixture
) -> None:
    page = await post(web, **PLAN)
    assert "The drill runs on every worker within 2 seconds" in page.text
    (record,) = web.publisher.records
    assert (record.topic, record.key, record.partition) == (OUTAGE_DRILLS, b"outage-drill", 0)
    assert orjson.loads(record.value or b"") == {
        "fault": "LATENCY",
        "percent": 30,
        "milliseconds": 2000,
        "started_at": "2026-01-31T08:00:00.000Z",
        "ends_at": "2026-01-31T08:05:00.000Z",
        "started_by": "console",
        "stopped_by": None,
    }
    (line,) = (record.getMessage() for record in audit.records)
    assert line.startswith("startDrill(fault='LATENCY'")
    assert line.endswith("by local (operator): done")


async def test_every_page_says_that_a_drill_runs_until_it_is_over(web: WebView) -> None:
    await post(web, **PLAN)
    for path in ("/configuration", "/drill"):
        text = (await get(web, path)).text
        assert "Outage drill: 30 % of the API calls answer 2,000 ms later, by console." in text
    page = await post(web, "/drill/stop")
    assert "Look at it or stop it" not in page.text
    assert "Look at it or stop it" not in (await get(web, "/configuration")).text


async def test_a_stop_is_written_for_all_workers(
    web: WebView, audit: pytest.LogCaptureFixture
) -> None:
    await post(web, **PLAN)
    page = await post(web, "/drill/stop")
    ended = web.publisher.value(1)
    assert (ended["ends_at"], ended["stopped_by"]) == ("2026-01-31T08:00:00.000Z", "console")
    assert "stopped by console" in page.text
    assert audit.records[-1].getMessage() == "stopDrill() by local (operator): done"
    page = await post(web, "/drill/stop")
    assert "No drill runs." in page.text
    assert len(web.publisher.records) == 2


async def test_two_drills_do_not_run_at_once(web: WebView) -> None:
    await post(web, **PLAN)
    page = await post(web, "/drill", 409, **PLAN)
    assert "A drill runs already." in page.text
    assert len(web.publisher.records) == 1


@pytest.mark.parametrize(
    ("name", "typed", "message"),
    [
        ("percent", "101", "must be a whole number from 1 to 100"),
        ("percent", "", "must be a whole number from 1 to 100"),
        ("minutes", "61", "must be a whole number from 1 to 60"),
        ("minutes", "1.5", "must be a whole number from 1 to 60"),
        ("milliseconds", "a <while>", "must be a whole number from 1 to 60000"),
    ],
)
async def test_a_bad_plan_gets_its_message_at_the_field_and_nothing_typed_is_lost(
    web: WebView, name: str, typed: str, message: str
) -> None:
    page = await post(web, "/drill", 422, **(PLAN | {name: typed}))
    assert page.errors == {name: message}
    fields = ("percent", "milliseconds", "minutes")
    assert {field: page.values[field] for field in fields} == {
        field: typed if field == name else PLAN[field] for field in fields
    }
    assert web.publisher.records == []


async def test_a_broker_that_is_away_is_no_start_and_no_stop(web: WebView) -> None:
    web.publisher.fail()
    page = await post(web, "/drill", 503, **PLAN)
    assert "The broker did not acknowledge it." in page.text
    assert web.drills.running is None
    web.publisher.error = None
    await post(web, **PLAN)
    web.publisher.fail()
    await post(web, "/drill/stop", 503)
    assert web.drills.running is not None


async def test_the_report_compares_the_drill_with_as_long_a_time_before(tmp_path: Path) -> None:
    async with running_sql_web(tmp_path) as view:
        view.web.drills.newest = Drill(
            fault=Fault.ERRORS,
            percent=50,
            started_at_ms=NOW_MS - 60_000,
            ends_at_ms=NOW_MS + 60_000,
            started_by="anna",
        )

        def before_now(seconds: int) -> str:
            return (NOW - timedelta(seconds=seconds)).isoformat()

        await view.project(
            found("too old", occurred_at=before_now(121)),
            found("e1", occurred_at=before_now(100), duration_ms=20),
            found("e2", occurred_at=before_now(50), source="CACHE", duration_ms=1),
            found("e3", occurred_at=before_now(40), source="STALE_CACHE", duration_ms=2),
            found("e4", occurred_at=before_now(30), duration_ms=3),
            failed("e5", occurred_at=before_now(20), duration_ms=900),
            logged("a1", lookup_id="1", request_timestamp=before_now(20)),
            logged("a2", lookup_id="2", request_timestamp=before_now(20), error_message="drill: x"),
        )
        page = await view.page("/drill")
        assert page.rows == [
            ["1", "4"],
            ["100 %", "75.0 %"],
            ["0 %", "25.0 %"],
            ["0 %", "25.0 %"],
            ["100 %", "25.0 %"],
            ["0 %", "0 %"],
            ["0 %", "25.0 %"],
        ]
        assert "95 % of answers within 900 ms before: 20 ms" in page.text
        assert "API calls that were affected 1 of 2" in page.text
        assert len(view.statements) == 3


@pytest.mark.parametrize("path", ["/drill", "/drill/stop"])
async def test_only_an_operator_drills(path: str, audit: pytest.LogCaptureFixture) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with running_web(Settings(named_keys=read_access_keys(f"support:{KEY}:sam"))) as web:
        response = await web.client.post(path, data=PLAN, headers=headers)
        assert response.status == 403
        assert web.publisher.records == []
        assert audit.records[-1].getMessage().endswith("by sam (support): FORBIDDEN")
        assert (await web.client.get("/drill", headers=headers)).status == 403


async def test_a_drill_by_a_clock_that_is_ahead_can_be_stopped_and_followed_by_another(
    web: WebView,
) -> None:
    day_ms = 86_400_000
    ahead = Drill(
        fault=Fault.ERRORS,
        percent=100,
        started_at_ms=NOW_MS + day_ms,
        ends_at_ms=NOW_MS + day_ms + 60_000,
        started_by="anna",
    )
    web.drills.take(drill_record(ahead).value)
    assert web.drills.running is None
    assert "Stop the drill now" in (await get(web)).text
    assert "The drill is over on every worker" in (await post(web, "/drill/stop")).text
    stopped = web.drills.newest
    assert stopped is not None
    assert not stopped.runs(ahead.started_at_ms)
    assert "The drill runs on every worker" in (await post(web, **PLAN)).text
