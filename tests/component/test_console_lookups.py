"""The list of lookups as an operator's browser gets it."""

import csv
import io
import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import ClientPayloadError

from agents.customer_lookup.read_model.records import AnswerFilter, AnswerRow
from posstream.domain.access_key import read_access_keys
from posstream.domain.payment_card import mask_payment_cards
from posstream.settings import Settings
from tests.component.fakes import FakeReadModel
from tests.component.sql_databases import at, failed, found
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
    )
    page = await view.page("/lookups")
    assert page.rows == [
        ["2026-01-31 08:00:21", "basket_1", "+******9", "timeout", "2", "40 ms", ""],
        ["2026-01-31 08:00:11", "till 1/7", "+1******890", "stale cache", "2", "12 ms", "2 h"],
    ]
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
    assert page.values["from"] == "2026-01-31T08:00"
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


async def test_a_page_of_50_lookups_takes_one_statement(view: SqlWebView) -> None:
    await view.project(*(found(f"e{n}", fetched=n) for n in range(60)))
    page = await view.page("/lookups")
    assert len(page.rows) == 50
    assert len(view.statements) == 1
    view.statements.clear()
    # There are too few newer ones, so it is the newest page after all.
    assert (
        await view.page((await view.page(page.links["Older"])).links["Newer"])
    ).rows == page.rows
    assert len(view.statements) <= 3


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
    assert len((await view.page(f"/lookups?older={cursor}")).rows) == 1
    assert len((await view.page(f"/lookups?newer={cursor}")).rows) == 1


@pytest.mark.parametrize(
    ("name", "typed", "said"),
    [
        ("identifier", "4111111111111111", "payment-card number"),
        ("identifier", "no/slash", "No lookup has this identifier"),
        ("basket", "b" * 257, "1 to 256"),
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


async def test_a_file_of_a_filter_without_sense_leads_to_the_page_that_says_so(
    view: SqlWebView,
) -> None:
    response = await view.web.client.get("/lookups.csv?from=never", allow_redirects=False)
    assert response.status == 303
    where = urlsplit(response.headers["Location"])
    assert (where.path, parse_qs(where.query)) == ("/lookups", {"from": ["never"]})


async def test_without_a_database_there_is_an_error_and_no_file() -> None:
    async with running_web(read_model=FakeReadModel(error=RuntimeError("gone"))) as web:
        response = await web.client.get("/lookups.csv")
        assert response.status == 500
        assert "Content-Disposition" not in response.headers


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
