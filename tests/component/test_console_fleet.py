"""The page of the fleet: every worker, and the breaker by hand for one of them or for all."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from posstream.domain.access_key import read_access_keys
from posstream.fleet.heartbeat import ControlState
from posstream.kafka.topics import CONTROLS, WORKERS
from posstream.settings import Settings
from tests.component.fakes import NOW_MS
from tests.component.html_page import HtmlPage
from tests.component.web_client import WebView, running_web
from tests.fleet_beats import HERE, OTHER, beat, value_of
from tests.manual_clock import ManualClock

SUPPORT, OPERATOR = "support-key-0123", "operator-key-012"
OPEN = {"plugin": "customer_lookup", "control": "breaker", "action": "open"}


@pytest.fixture
async def web() -> AsyncIterator[WebView]:
    async with running_web() as view:
        yield view


def fill(view: WebView) -> None:
    """Two workers, of which the one that serves the page knows."""
    view.fleet.here = HERE
    held = ControlState(plugin="customer_lookup", name="breaker", state="open (held by hand)")
    other = beat(OTHER, controls=(held,), findings=("BREAKER_OPEN",), configurations={})
    view.fleet.take(OTHER.encode(), value_of(other), NOW_MS - 4_000)
    view.fleet.take(HERE.encode(), value_of(beat(HERE)), NOW_MS)


async def get(web: WebView, path: str = "/fleet") -> HtmlPage:
    return HtmlPage.of(await (await web.client.get(path)).text())


async def post(web: WebView, status: int = 200, **fields: str) -> HtmlPage:
    response = await web.client.post("/fleet", data=fields)
    assert response.status == status
    return HtmlPage.of(await response.text())


async def test_every_worker_is_a_row(web: WebView) -> None:
    assert "No worker has been heard yet" in (await get(web)).text
    fill(web)
    text = await (await web.client.get("/fleet")).text()
    first, by_topic = (HtmlPage.of(it) for it in text.split("<details>"))
    assert by_topic.rows == [
        [address, "customer_lookup", "customer-identified", "0, 3", "7"]
        for address in ("one:8000", "two:8000")
    ]
    assert by_topic.links["customer-identified"] == "/topics/customer-identified"
    assert first.rows == [
        ["one:8000 this one", "runs", "0 s ago", "1.2.3", "0 s", "2", "7", "customer_lookup 4", "",
         ""],
        ["two:8000", "runs", "4 s ago", "1.2.3", "0 s", "2", "7", "defaults",
         "breaker open (held by hand)", "BREAKER_OPEN"],
    ]  # fmt: skip
    assert "does not hear the others" not in first.text


async def test_the_page_is_kept_up_to_date(web: WebView) -> None:
    fill(web)
    async with web.client.get("/fleet/live") as stream:
        async for line in stream.content:
            if line.startswith(b"data:"):
                part = orjson.loads(line.removeprefix(b"data:"))
                break
    assert (part["id"], "two:8000" in part["html"]) == ("workers", True)


@pytest.mark.parametrize("worker", [OTHER, "*"])
async def test_a_breaker_is_opened_on_one_worker_or_on_all_and_it_is_written_down_who_did(
    web: WebView, caplog: pytest.LogCaptureFixture, worker: str
) -> None:
    caplog.set_level(logging.INFO, "posstream.audit")
    fill(web)
    page = await post(web, worker=worker, **OPEN)
    assert "Each chosen worker follows within 2 seconds" in page.text
    (record,) = web.publisher.records
    assert record.topic == CONTROLS
    assert orjson.loads(record.value or b"") == {
        **OPEN, "worker": worker, "by": "local", "at": "2026-01-31T08:00:00.000Z",
    }  # fmt: skip
    (line,) = [it.getMessage() for it in caplog.records if it.name == "posstream.audit"]
    assert line.startswith("control(plugin='customer_lookup', control='breaker', action='open'")
    assert line.endswith("by local (operator): done")


@pytest.mark.parametrize(
    "wrong",
    [{"worker": "nobody"}, {"action": "burn"}, {"control": "valve"}, {"plugin": "toy"}],
    ids=str,
)
async def test_what_does_not_exist_is_refused(web: WebView, wrong: dict[str, str]) -> None:
    fill(web)
    page = await post(web, 409, **{"worker": "*", **OPEN, **wrong})
    assert "There is no such worker or action any more" in page.text
    assert web.publisher.records == []


async def test_a_broker_that_is_away_is_told(web: WebView) -> None:
    fill(web)
    web.publisher.fail()
    assert "did not acknowledge it" in (await post(web, 503, worker="*", **OPEN)).text


async def test_whoever_is_no_operator_sees_the_workers_and_works_nothing() -> None:
    keys = read_access_keys(f"support:{SUPPORT}:sam;operator:{OPERATOR}:olga")
    async with running_web(Settings(named_keys=keys)) as web:
        fill(web)
        sam = {"Authorization": f"Bearer {SUPPORT}"}
        response = await web.client.get("/fleet", headers=sam)
        text = await response.text()
        assert (response.status, "two:8000" in text, 'name="action"' in text) == (200, True, False)
        refused = await web.client.post("/fleet", headers=sam, data={"worker": "*", **OPEN})
        assert (refused.status, web.publisher.records) == (403, [])


async def test_a_lost_worker_that_is_gone_for_good_is_looked_for_no_more(
    web: WebView, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "posstream.audit")
    clock: Any = ManualClock()
    web.fleet._clock = clock
    fill(web)
    button = "stop looking for it"
    assert button not in (await get(web)).text
    gone = {"worker": OTHER}
    refused = await web.client.post("/fleet/dismiss", data=gone)
    assert (refused.status, web.publisher.records) == (409, [])
    for seconds in range(5, 30, 5):
        clock.advance(5)
        web.fleet.take(HERE.encode(), value_of(beat(HERE)), NOW_MS + seconds * 1000)
    web.fleet.look()
    assert button in (await get(web)).text
    done = await web.client.post("/fleet/dismiss", data=gone)
    assert done.status == 200
    (record,) = web.publisher.records
    assert (record.topic, record.key, record.value) == (WORKERS, OTHER.encode(), None)
    web.fleet.take(record.key, record.value, NOW_MS + 26_000)
    web.fleet.look()
    assert web.fleet.lost == 0
    said = [it for it in caplog.messages if it.startswith("dismissWorker")]
    assert [it.rpartition(": ")[2] for it in said] == ["refused", "done"]
