"""The console's first page: what it says, and how it stays up to date."""

import asyncio
import logging
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest
from aiohttp import ClientPayloadError, ClientResponse

from agents.customer_lookup.drills.drill import Drill, Fault, drill_record
from agents.customer_lookup.pages import kept
from agents.customer_lookup.read_model.lookup_counts import LookupCounts
from agents.customer_lookup.read_model.records import LookupStatistics
from posstream.configuration.editing import Note
from posstream.domain.times import from_ms
from posstream.findings import KNOWN, found
from posstream.settings import Settings
from tests.component.fakes import NOW_MS
from tests.component.web_client import WebView, running_web
from tests.manual_clock import ManualClock
from tests.unit.test_timeline import ANSWER
from web.console import live

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
KEY = "a-key-of-some-length"


def text_of(html: str) -> str:
    """What is read, without the tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


async def page(view: WebView) -> str:
    response = await view.client.get("/", headers=BROWSER)
    assert (response.status, response.content_type) == (200, "text/html")
    return text_of(await response.text())


async def next_part(response: ClientResponse) -> dict[str, str]:
    async with asyncio.timeout(5):
        head = await response.content.readline()
        data = await response.content.readline()
        assert await response.content.readline() == b"\n"
    assert head == b"event: part\n"
    part: dict[str, str] = orjson.loads(data.removeprefix(b"data: "))
    return part


async def test_no_search_for_payment_cards_masks_the_points_of_a_drawing() -> None:
    async with running_web(beat_seconds=0.001) as view:
        response = await view.client.get("/console/live")
        drawn: list[str] = []
        while max((len(points.split()) for points in drawn), default=0) < 60:
            html = (await next_part(response)).get("html", "")
            drawn = re.findall(r'points="([^"]*)"', html)
    assert {character for points in drawn for character in points} <= set("0123456789., ")


async def test_each_finding_of_the_platform_leads_to_a_page() -> None:
    async with running_web() as view:
        links = {found(code, "", "customer_lookup").link for code in KNOWN} - {""}
        answers = [await view.client.get(it, headers=BROWSER) for it in sorted(links)]
        assert [it.status for it in answers] == [200] * len(links)


async def test_a_plugin_that_is_off_leads_to_its_own_configuration() -> None:
    async with running_web(two_plugins=True) as view:
        titles = []
        for plugin in ("customer_lookup", "rules"):
            link = found("PLUGIN_OFF", "it is off", plugin).link
            response = await view.client.get(link, headers=BROWSER)
            titles.append((response.status, str(response.url.path)))
    assert titles == [(200, "/configuration"), (200, "/configuration/plugin/rules")]


async def test_a_browser_gets_the_page_and_anybody_else_the_list_of_paths() -> None:
    async with running_web() as view:
        assert "This worker" in await page(view)
        plain = await view.client.get("/")
        assert plain.content_type == "text/plain"
        assert "/asyncapi.json" in await plain.text()
        assert plain.headers["Vary"] == "Accept"


async def test_the_verdict_is_green_only_if_all_is_well_and_says_what_was_looked_at() -> None:
    async with running_web() as view:
        said = await page(view)
        assert said.index("All is well") < said.index("This worker")
        assert "Looked at on this worker: the plugins, the broker, the database" in said
        assert "the circuit breaker" in said
        view.health.found = [found("DEAD_LETTERS", "1 letter")]
        assert "All is well" not in await page(view)


async def test_the_verdict_has_the_worst_first_with_the_next_step_and_clears_on_an_open_page() -> (
    None
):
    async with running_web(beat_seconds=0.01) as view:
        view.health.found = [
            found("DEAD_LETTERS_FLOOD", "toy: many letters"),
            found("DATABASE_AWAY", "the database is <away>"),
        ]
        response = await view.client.get("/console/live")
        html = (await next_part(response))["html"]
        assert re.findall(r'href="([^"]*)"', html) == ["/dead-letters"]
        assert "the database is &lt;away&gt;" in html.lower()
        said = text_of(html)
        assert said.index("Something is wrong") < said.index("toy: many letters.")
        assert "The database is &lt;away&gt;. Check that the database runs" in said
        view.health.found = []
        while (part := await next_part(response))["id"] != "verdict":
            pass
        assert "All is well" in part["html"]
        response.close()


async def test_it_says_what_this_worker_counted_since_it_started() -> None:
    clock = ManualClock()
    async with running_web(clock=clock, beat_seconds=0.01) as view:
        response = await view.client.get("/console/live")
        await next_part(response)
        view.lookup_metrics.answers.labels("CACHE", "NONE").inc(19)
        view.lookup_metrics.answers.labels("CACHE", "NOT_FOUND").inc()
        view.lookup_metrics.answers.labels("NONE", "TIMEOUT").inc(5)
        view.lookup_metrics.api_calls.labels("SUCCESS").inc(2)
        view.lookup_metrics.api_calls.labels("TIMEOUT").inc(3)
        view.lookup_metrics.coalesced.inc(4)
        view.lookup_metrics.events_in_flight.set(7)
        view.lookup_metrics.commit_age_seconds.set(42)
        clock.advance(5)
        while "25 lookups" not in (said := await page(view)):
            await next_part(response)
        response.close()
    assert "80.0 % without a call" in said
    assert "saved 20 calls by the cache, 4 by coalescing" in said
    assert "5 calls, 3 failed" in said
    assert "7 events" in said
    assert "last commit 42.0 s ago" in said
    assert "fresh 19 76.0 %" in said


async def test_it_says_what_all_workers_answered_in_each_window() -> None:
    async with running_web() as view:
        view.read_model.statistics = LookupStatistics(
            {("CACHE", None): 500, ("API", None): 90, (None, "TIMEOUT"): 10},
            {"SUCCESS": 90, "TIMEOUT": 10},
            38,
            1212,
            17,
        )
        said = await page(view)
        now = from_ms(NOW_MS)
        assert [it for it in view.read_model.asked if it.keys() == {"since"}] == [
            {"since": now - timedelta(minutes=1)},
            {"since": now - timedelta(minutes=5)},
            {"since": now - timedelta(hours=1)},
        ]
    all_of_them = said[said.index("All workers") :]
    assert "600 10 per second 600 2.0 per second 600 0.2 per second" in all_of_them
    assert "TIMEOUT 10" in all_of_them
    assert "38 ms / 1.2 s" in all_of_them
    assert "Calls saved by coalescing 17 17 17" in all_of_them


@pytest.mark.parametrize(
    ("turn", "shown"),
    [("close", "closed calls go through held by hand"), ("open", "open no calls go through")],
)
async def test_it_says_how_the_breaker_stands(turn: str, shown: str) -> None:
    async with running_web() as view:
        getattr(view.breaker, turn)()
        said = await page(view)
        assert shown in said
        assert "for directory ;" in said


async def test_a_read_model_that_fails_takes_only_its_own_figures_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = ManualClock()
    async with running_web(clock=clock) as view:
        view.read_model.error = ConnectionError("secret-host")
        with caplog.at_level(logging.WARNING):
            said = await page(view)
        assert "The read model does not answer" in said
        assert "This worker" in said
        assert "ConnectionError" in caplog.text
        assert "secret-host" not in caplog.text
        view.read_model.error = None
        # It is not asked again by every page that is opened.
        assert "The read model does not answer" in await page(view)
        clock.advance(kept.KEPT_SECONDS)
        assert "The read model does not answer" not in await page(view)


async def test_a_read_model_that_hangs_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kept, "PATIENCE_SECONDS", 0.05)

    async def hang(_: object) -> Any:
        await asyncio.Event().wait()

    async with running_web() as view:
        view.read_model.lookup_statistics = hang  # type: ignore[method-assign]
        async with asyncio.timeout(5):
            assert "The read model does not answer" in await page(view)


def charts(html: str) -> dict[str, list[str]]:
    """What the points of each chart say, by the chart's name."""
    return {
        name: said.split("|")
        for name, said in re.findall(r'data-chart="([^"]*)".*?data-said="([^"]*)"', html)
    }


async def overview(view: WebView, query: str = "") -> str:
    return await (await view.client.get(f"/{query}", headers=BROWSER)).text()


@pytest.mark.parametrize(
    ("query", "points", "said"),
    [
        ("", 60, "10 per second, 0.5 failed"),
        ("?range=6h", 72, "2.0 per second, 0.1 failed"),
        ("?range=24h", 96, "0.7 per second, < 0.1 failed"),
        ("?range=99h", 60, "10 per second, 0.5 failed"),
    ],
)
async def test_a_range_is_drawn_from_the_read_model_and_each_point_says_its_numbers(
    query: str, points: int, said: str
) -> None:
    async with running_web() as view:
        view.read_model.counts = LookupCounts(lookups=600, failed=30)
        html = await overview(view, query)
        asked = [it for it in view.read_model.asked if "counts_since" in it]
    drawn = charts(html)
    assert (len(drawn["lookups"]), drawn["lookups"][0]) == (points, said)
    assert drawn["calls"] == ["0 per second"] * points
    first = min(it["counts_since"] for it in asked)
    steps = {it["counts_until"] - it["counts_since"] for it in asked}
    assert from_ms(NOW_MS) - first <= points * max(steps)


async def test_a_step_of_a_chart_is_counted_again_ever_more_seldom() -> None:
    clock = ManualClock()
    counted = []
    async with running_web(clock=clock) as view:
        for _ in range(20):
            view.read_model.asked.clear()
            await overview(view)
            counted.append(len([it for it in view.read_model.asked if "counts_since" in it]))
            clock.advance(kept.KEPT_SECONDS)
    assert counted[0] == 60
    assert max(counted[1:]) < 10
    assert sum(counted[1:]) < 60


async def test_a_chart_marks_what_changed_and_lists_it() -> None:
    drill = Drill(
        fault=Fault.ERRORS,
        percent=50,
        started_at_ms=NOW_MS - 600_000,
        ends_at_ms=NOW_MS - 300_000,
        started_by="olga",
    )
    async with running_web() as view:
        view.drills.take(drill_record(drill).value)
        await view.configurations["customer_lookup"].edit(
            {"retry_attempts": 3}, note=Note(by="olga")
        )
        html = await overview(view)
    assert html.count('<rect class="mark" x=') == 4  # two in each of the charts of all workers
    said = text_of(html)
    assert "configuration version 1, by olga" in said
    assert "drill: 50 % of the API calls fail with HTTP status 503" in said


async def test_without_a_change_no_mark_is_explained() -> None:
    async with running_web() as view:
        assert "no configuration changed, no drill ran" in await overview(view)


@pytest.mark.parametrize(
    ("failed", "told"),
    [
        (0, "None in this range."),
        (1, 'TIMEOUT</span> <a href="/baskets/b%201">b 1</a>'),
    ],
)
async def test_the_last_lookups_that_failed_lead_to_their_baskets(failed: int, told: str) -> None:
    async with running_web() as view:
        view.read_model.counts = LookupCounts(lookups=1, failed=failed)
        view.read_model.answers = [replace(ANSWER, basket_id="b 1", reason="TIMEOUT")]
        assert told in await overview(view)


async def test_what_changed_is_sent_and_what_did_not_is_not() -> None:
    async with running_web(beat_seconds=0.01) as view:
        response = await view.client.get("/console/live")
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        first = [await next_part(response) for _ in range(4)]
        assert [part["id"] for part in first] == [
            "verdict",
            "this-worker",
            "all-workers",
            "over-time",
        ]
        view.lookup_metrics.events_in_flight.set(3)
        # On a busy machine a sample of before may be on its way.
        changed = [await next_part(response) for _ in range(3)]
        assert {part["id"] for part in changed} == {"this-worker"}
        assert "3 events" in text_of(changed[-1]["html"])
        response.close()


async def test_there_are_only_so_many_live_pages_and_each_that_is_closed_makes_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "MAX_LIVE_PAGES", 1)
    async with running_web(beat_seconds=0.01) as view:
        first = await view.client.get("/console/live")
        assert first.status == 200
        refused = await view.client.get("/console/live")
        assert (refused.status, (await refused.json())["error"]["code"]) == (
            503,
            "TOO_MANY_STREAMS",
        )
        first.close()
        async with asyncio.timeout(5):
            number = 0
            while (again := await view.client.get("/console/live")).status != 200:
                number += 1
                view.lookup_metrics.events_in_flight.set(number)  # a write notices who left
        again.close()


async def test_the_end_of_the_worker_ends_a_live_page_at_once() -> None:
    async with running_web() as view:
        response = await view.client.get("/console/live")
        await next_part(response)
        async with asyncio.timeout(2):
            await view.client.server.app.shutdown()
            with pytest.raises(ClientPayloadError):
                await response.content.read()


async def test_there_is_no_stream_without_a_key_or_for_a_page_of_another_origin() -> None:
    async with running_web(Settings(api_key=KEY)) as view:
        assert (await view.client.get("/console/live")).status == 401
        headers = {"Authorization": f"Bearer {KEY}", "Origin": "http://evil.example"}
        assert (await view.client.get("/console/live", headers=headers)).status == 403


async def test_nothing_is_inline_but_what_carries_the_nonce() -> None:
    async with running_web() as view:
        response = await view.client.get("/", headers=BROWSER)
        html = await response.text()
        assert "'unsafe" not in response.headers["Content-Security-Policy"]
        assert " style=" not in html
        assert not re.search(r"<script(?![^>]*src=)", html)
