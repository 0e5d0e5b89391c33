"""The list of lookups as an operator's browser gets it."""

import csv
import io
import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientPayloadError

from agents.customer_lookup.read_model.records import AnswerFilter, AnswerRow
from posstream.domain.access_key import read_access_keys
from posstream.domain.errors import ReadModelBusy
from posstream.domain.payment_card import mask_payment_cards
from posstream.settings import Settings
from tests.component.fakes import FakeReadModel
from tests.component.html_page import HtmlPage
from tests.component.sql_databases import JOHN, at, failed, found, logged, started
from tests.component.sql_web import SqlWebView, running_sql_web
from tests.component.web_client import running_web
from tests.unit.test_timeline import ANSWER
from web.graphql.connections import cursor_of

VIEWER, SUPPORT = "viewer-key-01234", "support-key-0123"
KEYED = Settings(named_keys=read_access_keys(f"viewer:{VIEWER}:vera;support:{SUPPORT}:sam"))
#: Columns of the table.
BASKET, IDENTIFIER = 1, 2


@pytest.fixture
async def view(tmp_path: Path) -> AsyncIterator[SqlWebView]:
    async with running_sql_web(tmp_path) as view:
        yield view


def bearer(key: str) -> dict[str, dict[str, str]]:
    return {"headers": {"Authorization": f"Bearer {key}"}}


async def test_an_answer_is_a_row_with_a_link_to_its_basket(view: SqlWebView) -> None:
    await view.project(
        found("e1", basket="till 1/7", source="STALE_CACHE", age_ms=7_200_000, attempts=2),
        failed("e2", identified=20),
        started("basket_1", employee_id=7, terminal_id="t3"),
    )
    page = await view.page("/lookups")
    first, second = page.rows
    assert first[:4] == ["2026-01-31 08:00:21", "basket_1", "+******9", "timeout"]
    assert first[4:] == ["", "t3", "7", "2", "40 ms", "", "1"]
    assert second[:4] == ["2026-01-31 08:00:11", "till 1/7", "+1******890", "stale cache"]
    assert second[4:] == ["CUST_001", "", "", "2", "12 ms", "2 h", "1"]
    assert page.links["CUST_001"] == "/customers/CUST_001"
    there = await view.page(page.links["till 1/7"])
    assert there.titles == ["till 1/7"]


async def test_the_filter_stands_in_the_url_and_in_its_fields(view: SqlWebView) -> None:
    await view.project(
        found("e1", identifier="+1234567890", basket="b1"),
        found("e2", identifier="+1234567890", basket="b2", source="CACHE"),
        found("e3", identifier="john@example.com", basket="b3"),
    )
    page = await view.page("/lookups?identifier=00+12345-67890&source=API&from=2026-01-31T08:00")
    assert [row[BASKET] for row in page.rows] == ["b1"]
    assert page.values["identifier"] == "00 12345-67890"
    assert page.values["source"] == "API"
    assert page.values["from"] == "2026-01-31T08:00:00"
    assert page.values["outcome"] == ""


async def test_pages_lead_to_each_other_and_keep_the_filter(view: SqlWebView) -> None:
    await view.project(
        *(found(f"e{n:03}", basket=f"b{n:03}", fetched=n // 2) for n in range(120)),
        failed("other", basket="other", identified=90),
    )
    first = await view.page("/lookups?outcome=FOUND")
    second = await view.page(first.links["Older"])
    third = await view.page(second.links["Older"])
    shown = [row[BASKET] for page in (first, second, third) for row in page.rows]
    assert shown == [f"b{n:03}" for n in reversed(range(120))]
    assert "Older" not in third.links
    assert "Newer" not in first.links
    back = await view.page(third.links["Newer"])
    assert back.rows == second.rows
    assert (await view.page(back.links["Newer"])).rows == first.rows
    for page in (second, third, back):
        assert page.values["outcome"] == "FOUND"


async def test_a_page_of_50_lookups_takes_two_statements(view: SqlWebView) -> None:
    await view.project(*(found(f"e{n}", fetched=n) for n in range(60)))
    page = await view.page("/lookups")
    assert len(page.rows) == 50
    # The rows, and how many there are in all.
    assert len(view.statements) == 2
    view.statements.clear()
    # There are too few newer ones, so it is the newest page after all.
    assert (
        await view.page((await view.page(page.links["Older"])).links["Newer"])
    ).rows == page.rows
    assert len(view.statements) <= 5


@pytest.mark.parametrize(
    "cursor",
    [
        *("x", "W10", "%00", "bG9va3VwTG9ncw"),
        cursor_of("lookupAnswers", "0001-01-01T00:00:00+23:59", "e1"),
        cursor_of("lookupAnswers", "9999-12-31T23:59:59-23:59", "e1"),
    ],
)
async def test_a_broken_place_is_the_newest_page(view: SqlWebView, cursor: str) -> None:
    await view.project(found("e1"))
    assert len((await view.page(f"/lookups?after={cursor}")).rows) == 1
    assert len((await view.page(f"/lookups?before={cursor}")).rows) == 1


@pytest.mark.parametrize(
    ("name", "typed", "said"),
    [
        ("identifier", "4111111111111111", "payment-card number"),
        ("identifier", "no/slash", "No lookup has this identifier"),
        ("basket", "b" * 257, "1 to 256"),
        ("terminal", "t" * 257, "1 to 256"),
        ("version", "latest", "whole number"),
        ("from", "yesterday", "2026-01-31 08:15"),
        ("to", "<script>", "2026-01-31 08:15"),
        ("reason", "TIRED", "Choose one"),
        ("source", "api", "Choose one"),
        ("outcome", "GOOD", "Choose one"),
    ],
)
async def test_what_makes_no_sense_is_said_at_its_field_and_kept(
    view: SqlWebView, name: str, typed: str, said: str
) -> None:
    await view.project(found("e1"))
    query = {"identifier": "+1234567890"} | {name: typed}
    page = await view.page("/lookups", 400, params=query)
    assert list(page.errors) == [name]
    assert said in page.errors[name]
    # A card number is on no page in full.
    assert {field: page.values[field] for field in query} == query | {
        name: mask_payment_cards(typed)
    }
    assert page.rows == []
    assert view.statements == []


async def test_an_end_before_the_start_is_said(view: SqlWebView) -> None:
    page = await view.page("/lookups?from=2026-02-01&to=2026-01-01", 400)
    assert list(page.errors) == ["to"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("customer=CUST_001", ["b3", "b1"]),
        ("customer=CUST_002", ["b2"]),
        ("terminal=t1", ["b2", "b1"]),
        ("employee=8&terminal=t1", ["b2"]),
        ("version=2", ["b3", "b2"]),
        ("version=2&sort=oldest", ["b2", "b3"]),
        ("version=3", []),
    ],
)
async def test_lookups_are_filtered_by_customer_till_employee_and_version(
    view: SqlWebView, query: str, expected: list[str]
) -> None:
    jane = {**JOHN, "customer_id": "CUST_002"}
    await view.project(
        started("b1", employee_id=7),
        started("b2", employee_id=8),
        # One identifier, which leads to another customer later.
        logged("l1"),
        found("e1", basket="b1", fetched=10),
        found("e2", basket="b2", fetched=20, customer=jane, config_version=2),
        found("e3", basket="b3", fetched=30, identifier="CARD_9", config_version=2),
    )
    assert [row[BASKET] for row in (await view.page(f"/lookups?{query}")).rows] == expected


async def test_oldest_first_the_pages_lead_on_and_back_and_keep_it(view: SqlWebView) -> None:
    await view.project(*(found(f"e{n:03}", basket=f"b{n:03}", fetched=n // 2) for n in range(60)))
    newest = await view.page("/lookups?outcome=FOUND")
    first = await view.page(newest.links["Oldest first"])
    second = await view.page(first.links["Newer"])
    shown = [row[BASKET] for page in (first, second) for row in page.rows]
    assert shown == [f"b{n:03}" for n in range(60)]
    assert second.values["outcome"] == "FOUND"
    assert (await view.page(second.links["Older"])).rows == first.rows
    assert (await view.page(second.links["Oldest"])).rows == first.rows
    assert (await view.page(second.links["Newest first"])).rows == newest.rows
    rows = await lines(view, second.links["CSV"])
    assert [row["basket_id"] for row in rows] == [f"b{n:03}" for n in range(60)]


async def test_the_heading_says_how_many_there_are(
    view: SqlWebView,
) -> None:
    await view.project(*(found(f"e{n}", fetched=n // 2) for n in range(60)), failed("other"))
    assert "1 in all" in (await view.page("/lookups?outcome=FAILED")).text
    assert "60 in all" in (await view.page("/lookups?outcome=FOUND")).text
    assert "61 in all" in (await view.page("/lookups")).text


async def test_an_empty_list_says_why(view: SqlWebView) -> None:
    assert "No lookups yet" in (await view.page("/lookups")).text
    assert "Nothing matches" in (await view.page("/lookups?basket=b1")).text


async def test_identifiers_are_shown_in_full_only_to_whoever_may_and_asks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "posstream.audit")
    async with running_sql_web(tmp_path, KEYED) as view:
        await view.project(found("e1"))
        masked = await view.page("/lookups?reveal=1", **bearer(VIEWER))
        assert masked.rows[0][IDENTIFIER] == "+1******890"
        assert "Show identifiers" not in masked.links
        offered = await view.page("/lookups?source=API", **bearer(SUPPORT))
        assert offered.rows[0][IDENTIFIER] == "+1******890"
        assert caplog.messages == []
        full = await view.page(offered.links["Show identifiers"], **bearer(SUPPORT))
        assert full.rows[0][IDENTIFIER] == "+1234567890"
        assert full.values["source"] == "API"
    assert caplog.messages == ["1 identifiers revealed to sam (support) by the page lookups"]


# -- the file


async def lines(view: SqlWebView, path: str) -> list[dict[str, str]]:
    response = await view.web.client.get(path)
    assert response.status == 200
    assert response.content_type == "text/csv"
    assert "attachment" in response.headers["Content-Disposition"]
    return list(csv.DictReader(io.StringIO(await response.text())))


async def test_the_file_has_the_whole_filtered_list(view: SqlWebView) -> None:
    await view.project(
        *(found(f"e{n:04}", fetched=n // 50, basket=f"b{n}") for n in range(2100)),
        failed("other", basket="other"),
    )
    link = (await view.page("/lookups?outcome=FOUND")).links["CSV"]
    rows = await lines(view, link)
    assert [row["event_id"] for row in rows] == [f"e{n:04}" for n in reversed(range(2100))]
    assert rows[-1]["occurred_at"] == at(1)
    assert rows[-1]["duration_ms"] == "12"


async def test_no_cell_of_the_file_is_a_formula(view: SqlWebView) -> None:
    names = ["=1+1", "+1", "-1", "@SUM(A1)", 'say "hi", twice']
    await view.project(*(found(f"e{n}", basket=name) for n, name in enumerate(names)))
    rows = await lines(view, "/lookups.csv?reveal=1")
    assert sorted(row["basket_id"] for row in rows) == sorted(
        ["'=1+1", "'+1", "'-1", "'@SUM(A1)", 'say "hi", twice']
    )
    assert {row["customer_identifier"] for row in rows} == {"'+1234567890"}


async def test_identifiers_in_the_file_are_masked_unless_revealed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "posstream.audit")
    async with running_sql_web(tmp_path, KEYED) as view:
        await view.project(found("e1"), found("e2"))
        masked = await view.web.client.get("/lookups.csv?reveal=1", **bearer(VIEWER))
        assert "1234567890" not in await masked.text()
        assert caplog.messages == []
        full = await view.web.client.get("/lookups.csv?reveal=1", **bearer(SUPPORT))
        assert "1234567890" in await full.text()
    assert caplog.messages == ["2 identifiers revealed to sam (support) by the file lookups.csv"]


@pytest.mark.parametrize("path", ["/lookups", "/lookups.csv"])
@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("colour=red", "There is no filter “colour”; there are outcome, source,"),
        ("source=API&source=CACHE", "“source” is given 2 times; give it once."),
        ("sort=identifier", "There is no order “identifier”; there are newest, oldest."),
        ("4111111111111111=1", "There is no filter “411111******1111”"),
    ],
)
async def test_what_the_list_does_not_know_is_refused_by_name(
    view: SqlWebView, path: str, query: str, said: str
) -> None:
    await view.project(found("e1"))
    page = await view.page(f"{path}?{query}&outcome=FOUND", 400)
    assert said in page.text
    assert page.values["outcome"] == "FOUND"
    assert (page.rows, view.statements) == ([], [])


async def test_a_file_of_a_filter_without_sense_is_the_page_that_says_so(view: SqlWebView) -> None:
    assert list((await view.page("/lookups.csv?from=never", 400)).errors) == ["from"]


async def test_without_a_database_there_is_an_error_and_no_file() -> None:
    async with running_web(read_model=FakeReadModel(error=RuntimeError("gone"))) as web:
        response = await web.client.get("/lookups.csv")
        assert response.status == 500
        assert "Content-Disposition" not in response.headers


class LongCount(FakeReadModel):
    """Finds rows at once, and never counts them in time."""

    async def count_answers(self, *_: Any, **__: Any) -> int:
        raise ReadModelBusy("ask for less")


async def test_a_count_that_takes_too_long_takes_no_list_away() -> None:
    async with running_web(read_model=LongCount(answers=[ANSWER] * 60)) as web:
        response = await web.client.get("/lookups?outcome=FOUND", headers={"Accept": "text/html"})
        page = HtmlPage.of(await response.text())
    assert response.status == 200
    assert "very many in all" in page.text
    assert len(page.rows) == 50


class OneBatch(FakeReadModel):
    """Gives the first rows, and then the database is gone."""

    async def lookup_answers(self, wanted: AnswerFilter, **question: Any) -> Sequence[AnswerRow]:
        rows = await super().lookup_answers(wanted, **question)
        self.error = RuntimeError("gone")
        return rows


async def test_a_file_that_cannot_be_finished_is_no_whole_file(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running_web(read_model=OneBatch(answers=[ANSWER] * 1000)) as web:
        response = await web.client.get("/lookups.csv")
        with pytest.raises(ClientPayloadError):
            await response.text()
    assert "a CSV was cut off" in caplog.text


async def test_a_file_ends_after_50000_rows() -> None:
    endless = FakeReadModel(answers=[ANSWER] * 1000)
    async with running_web(read_model=endless) as web:
        response = await web.client.get("/lookups.csv")
        assert (await response.text()).count("\r\n") == 50_001
    assert len(endless.asked) == 50
