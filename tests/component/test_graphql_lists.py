"""Lists page by page, counts and timelines over HTTP, on a real database."""

import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup.read_model.projection import SqlProjection
from agents.customer_lookup.read_model.queries import SqlReadModel
from posstream.json.reading import read_json_exactly
from posstream.read_model.engine import create_engine
from tests.component.sql_databases import (
    JOHN,
    at,
    database,
    failed,
    found,
    logged,
    make_tables,
    started,
)
from tests.component.web_client import WebView, running_web

CUSTOMERS = """
query ($first: Int, $after: String, $tier: String, $search: String) {
  customers(first: $first, after: $after, tier: $tier, search: $search) {
    edges { cursor node { customerId identifiers } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""
LOGS = """
query ($first: Int, $after: String, $status: LookupStatus, $identifier: String, $basketId: ID) {
  lookupLogs(first: $first, after: $after, status: $status, identifier: $identifier,
             basketId: $basketId) {
    edges { cursor node { eventId } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with database("sqlite", tmp_path) as url:
        engine = create_engine(url)
        await make_tables(engine)
        yield engine
        await engine.dispose()


@pytest.fixture
async def web(engine: AsyncEngine) -> AsyncIterator[WebView]:
    async with running_web(read_model=SqlReadModel(engine)) as view:
        yield view


@pytest.fixture
def statements(engine: AsyncEngine) -> list[str]:
    """What the database is asked from now on."""
    seen: list[str] = []

    def note(*arguments: Any) -> None:
        if arguments[2].startswith("SELECT"):
            seen.append(arguments[2])

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    return seen


async def project(engine: AsyncEngine, *events: Any) -> None:
    await SqlProjection(engine).apply(events)


def five_customers() -> list[Any]:
    return [
        found(
            f"e{n}",
            basket=f"basket_{n}",
            identifier=f"CARD_{n}",
            customer={**JOHN, "customer_id": f"C{n}", "tier": "GOLD" if n % 2 else "SILVER"},
        )
        for n in range(5)
    ]


async def page(web: WebView, query: str, **variables: Any) -> tuple[list[str], dict[str, Any]]:
    """The ids of a page, and its place."""
    answer = await web.graphql(query, **variables)
    assert "errors" not in answer, answer
    (connection,) = answer["data"].values()
    nodes = [edge["node"] for edge in connection["edges"]]
    return [next(iter(node.values())) for node in nodes], connection["pageInfo"]


async def refused(web: WebView, query: str, **variables: Any) -> str:
    """The message of the one error, which is the caller's."""
    (error,) = (await web.graphql(query, **variables))["errors"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT"}
    return str(error["message"])


# -- connections


async def test_customers_are_walked_page_by_page(engine: AsyncEngine, web: WebView) -> None:
    await project(engine, *five_customers())
    first, place = await page(web, CUSTOMERS, first=2)
    assert (first, place["hasNextPage"], place["hasPreviousPage"]) == (["C0", "C1"], True, False)
    second, place = await page(web, CUSTOMERS, first=2, after=place["endCursor"])
    assert (second, place["hasNextPage"], place["hasPreviousPage"]) == (["C2", "C3"], True, True)
    third, place = await page(web, CUSTOMERS, first=2, after=place["endCursor"])
    assert (third, place["hasNextPage"]) == (["C4"], False)
    nothing, place = await page(web, CUSTOMERS, first=2, after=place["endCursor"])
    assert nothing == []
    assert (place["startCursor"], place["endCursor"], place["hasNextPage"]) == (None, None, False)


async def test_the_cursor_of_an_edge_and_those_of_the_page_are_the_same(
    engine: AsyncEngine, web: WebView
) -> None:
    await project(engine, *five_customers())
    connection = (await web.graphql(CUSTOMERS, first=3))["data"]["customers"]
    cursors = [edge["cursor"] for edge in connection["edges"]]
    place = connection["pageInfo"]
    assert (place["startCursor"], place["endCursor"]) == (cursors[0], cursors[-1])
    after_the_middle, _ = await page(web, CUSTOMERS, after=cursors[1])
    assert after_the_middle == ["C2", "C3", "C4"]


async def test_a_page_has_twenty_unless_asked_for_otherwise(
    engine: AsyncEngine, web: WebView
) -> None:
    await project(engine, *(logged(f"e{n:02}", request_timestamp=at(n)) for n in range(21)))
    for variables in ({}, {"first": None, "after": None}):
        ids, place = await page(web, LOGS, **variables)
        assert (len(ids), ids[0], place["hasNextPage"]) == (20, "e20", True)


async def test_customers_are_filtered(engine: AsyncEngine, web: WebView) -> None:
    await project(engine, *five_customers())
    assert (await page(web, CUSTOMERS, tier="GOLD"))[0] == ["C1", "C3"]
    assert (await page(web, CUSTOMERS, search="card_4"))[0] == ["C4"]
    assert (await page(web, CUSTOMERS, tier="", search=" ", first=1))[0] == ["C0"]


async def test_attempts_newer_than_the_page_shift_nothing(
    engine: AsyncEngine, web: WebView
) -> None:
    await project(engine, *(logged(f"e{n}", request_timestamp=at(n)) for n in range(4)))
    ids, place = await page(web, LOGS, first=2)
    await project(engine, logged("newer", request_timestamp=at(50)))
    more, _ = await page(web, LOGS, first=2, after=place["endCursor"])
    assert [*ids, *more] == ["e3", "e2", "e1", "e0"]


async def test_attempts_are_filtered_by_status_basket_and_any_spelling(
    engine: AsyncEngine, web: WebView
) -> None:
    await project(
        engine,
        logged("e1", request_timestamp=at(1), status="TIMEOUT"),
        logged("e2", request_timestamp=at(2), customer_identifier="john@example.com"),
        logged("e3", request_timestamp=at(3), basket_id="basket_2"),
    )
    assert (await page(web, LOGS, status="TIMEOUT"))[0] == ["e1"]
    assert (await page(web, LOGS, identifier=" John@EXAMPLE.com "))[0] == ["e2"]
    assert (await page(web, LOGS, identifier="00 1234-567890", status="SUCCESS"))[0] == ["e3"]
    assert (await page(web, LOGS, basketId="basket_2"))[0] == ["e3"]
    assert (await page(web, LOGS, basketId="", identifier=""))[0] == ["e3", "e2", "e1"]


async def test_an_attempt_has_every_field_of_its_topic(engine: AsyncEngine, web: WebView) -> None:
    await project(engine, logged("e1", waiters=2, call_started_at=at(9)), started("basket_1"))
    answer = await web.graphql(
        "{ lookupLogs { edges { node { eventId lookupId attempt waiters basketId "
        "basket { terminalId } customerIdentifier identifierKind apiEndpoint callStartedAt "
        "requestTimestamp responseTimestamp status httpStatus responseData errorMessage "
        "durationMs } } } }"
    )
    (edge,) = answer["data"]["lookupLogs"]["edges"]
    assert edge["node"] == {
        "eventId": "e1",
        "lookupId": "lookup-1",
        "attempt": 1,
        "waiters": 2,
        "basketId": "basket_1",
        "basket": {"terminalId": "t1"},
        "customerIdentifier": "+1234567890",
        "identifierKind": "PHONE",
        "apiEndpoint": "http://directory.test/",
        "callStartedAt": at(9),
        "requestTimestamp": at(10),
        "responseTimestamp": at(11),
        "status": "SUCCESS",
        "httpStatus": 200,
        "responseData": '{"customer_id": "CUST_001"}',
        "errorMessage": None,
        "durationMs": 9,
    }


async def test_numbers_of_the_directory_are_shown_as_they_were_sent(
    engine: AsyncEngine, web: WebView
) -> None:
    sent = '{"points":12345678901234567890123,"sum":10.10,"list":[0.1000000000000000055]}'
    await project(engine, logged("e1", response_data=read_json_exactly(sent.encode())))
    answer = await web.graphql("{ lookupLogs { edges { node { responseData } } } }")
    (edge,) = answer["data"]["lookupLogs"]["edges"]
    assert edge["node"] == {"responseData": sent}


async def test_what_another_writer_made_up_costs_only_its_own_field(
    engine: AsyncEngine, web: WebView
) -> None:
    await project(engine, logged("e1", status="MAYBE", duration_ms=2**40))
    answer = await web.graphql("{ lookupLogs { edges { node { eventId status durationMs } } } }")
    (edge,) = answer["data"]["lookupLogs"]["edges"]
    assert edge["node"] == {"eventId": "e1", "status": None, "durationMs": None}
    assert answer["errors"][0]["extensions"] == {"code": "OUT_OF_RANGE"}


@pytest.mark.parametrize("query", [CUSTOMERS, LOGS])
@pytest.mark.parametrize("first", [0, -1, 101, 2**31 - 1])
async def test_a_page_size_out_of_range_is_refused(web: WebView, query: str, first: int) -> None:
    assert await refused(web, query, first=first) == "first must be from 1 to 100"


def cursor(document: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(document)).decode().rstrip("=")


@pytest.mark.parametrize(
    "after",
    [
        "",
        "x",
        "é",
        "====",
        "a" * 5000,
        cursor(None),
        cursor([]),
        cursor({"customers": "C1"}),
        cursor(["customers"]),
        cursor(["customers", 1]),
        cursor(["customers", "C1", "C2"]),
        cursor(["customers", "C\0"]),
        cursor(["customers", ""]),
        cursor(["lookupLogs", "2026-01-31T08:00:00+00:00", "e1"]),
        cursor([[]] * 500),
    ],
)
async def test_a_cursor_that_is_none_of_the_list_is_refused_by_name(
    web: WebView, after: str
) -> None:
    assert await refused(web, CUSTOMERS, after=after) == "after must be a cursor of customers"


@pytest.mark.parametrize(
    "key",
    [
        ["customers", "C1"],
        ["lookupLogs", "yesterday", "e1"],
        ["lookupLogs", "2026-01-31T08:00:00", "e1"],
        ["lookupLogs", "0001-01-01T00:00:00+23:59", "e1"],
        ["lookupLogs", "2026-01-31T08:00:00+00:00", "\n"],
    ],
)
async def test_a_cursor_with_no_moment_in_utc_is_refused_by_name(
    web: WebView, key: list[str]
) -> None:
    message = await refused(web, LOGS, after=cursor(key))
    assert message == "after must be a cursor of lookupLogs"


async def test_filters_that_cannot_be_meant_are_refused_by_name(web: WebView) -> None:
    message = await refused(web, LOGS, identifier="4111 1111 1111 1111")
    assert message == "identifier: 4111******1111 is refused: it holds a payment-card number"
    assert (await refused(web, LOGS, basketId="b\0")).startswith("basketId must be")
    assert (await refused(web, CUSTOMERS, tier="x" * 257)).startswith("tier must be")
    assert (await refused(web, CUSTOMERS, search="\x07")).startswith("search must be")


# -- loaders


async def test_many_baskets_and_their_customers_are_two_statements(
    engine: AsyncEngine, web: WebView, statements: list[str]
) -> None:
    await project(engine, *five_customers())
    baskets = " ".join(
        f'b{n}: basket(basketId: "basket_{n}") {{ customer {{ customerId identifiers }} }}'
        for n in range(5)
    )
    statements.clear()
    answer = await web.graphql("{" + baskets + "}")
    assert [answer["data"][f"b{n}"]["customer"]["identifiers"] for n in range(5)] == [
        [f"CARD_{n}"] for n in range(5)
    ]
    assert len(statements) == 2
    assert "FROM baskets" in statements[0]
    assert "FROM customers" in statements[1]


async def test_a_page_of_attempts_with_baskets_and_customers_is_three_statements(
    engine: AsyncEngine, web: WebView, statements: list[str]
) -> None:
    await project(
        engine,
        *five_customers(),
        *(logged(f"l{n}", basket_id=f"basket_{n}") for n in range(5)),
    )
    statements.clear()
    answer = await web.graphql(
        "{ lookupLogs(first: 50) { edges { node { basket { customer { customerId } } } } } }"
    )
    edges = answer["data"]["lookupLogs"]["edges"]
    assert sorted(edge["node"]["basket"]["customer"]["customerId"] for edge in edges) == [
        "C0",
        "C1",
        "C2",
        "C3",
        "C4",
    ]
    assert len(statements) == 3


async def test_a_page_of_attempts_alone_is_one_statement(
    engine: AsyncEngine, web: WebView, statements: list[str]
) -> None:
    await project(engine, *(logged(f"l{n}") for n in range(60)))
    statements.clear()
    assert len((await page(web, LOGS, first=50))[0]) == 50
    assert len(statements) == 1


async def test_the_next_request_reads_anew(engine: AsyncEngine, web: WebView) -> None:
    query = '{ customer(customerId: "CUST_001") { tier } }'
    assert await web.graphql(query) == {"data": {"customer": None}}
    await project(engine, found("e1"))
    assert await web.graphql(query) == {"data": {"customer": {"tier": "GOLD"}}}


# -- counts

STATS = """
query ($window: Int) {
  lookupStats(windowSeconds: $window) {
    windowSeconds since until lookups fresh stale api unknown failed failures { reason count }
    hitRatio apiAttempts apiFailures apiP50Ms apiP95Ms callsSavedByCache callsSavedByCoalescing
  }
}"""


async def test_a_window_without_lookups_counts_nothing_and_has_no_ratio(web: WebView) -> None:
    counted = (await web.graphql(STATS))["data"]["lookupStats"]
    assert counted["since"] == "2026-01-31T07:00:00.000Z"
    assert counted["until"] == "2026-01-31T08:00:00.000Z"
    empty = {key: value for key, value in counted.items() if key not in {"since", "until"}}
    assert empty == {
        "windowSeconds": 3600,
        "lookups": 0,
        "fresh": 0,
        "stale": 0,
        "api": 0,
        "unknown": 0,
        "failed": 0,
        "failures": [],
        "hitRatio": None,
        "apiAttempts": 0,
        "apiFailures": 0,
        "apiP50Ms": None,
        "apiP95Ms": None,
        "callsSavedByCache": 0,
        "callsSavedByCoalescing": 0,
    }


async def test_lookups_are_counted_by_where_their_answers_came_from(
    engine: AsyncEngine, web: WebView
) -> None:
    # The web view's clock stands at the first second of the test day.
    await project(
        engine,
        found("fresh1", source="CACHE"),
        found("fresh2", source="CACHE"),
        found("stale", source="STALE_CACHE"),
        found("api"),
        failed("unknown1", reason="NOT_FOUND", source="CACHE"),
        failed("unknown2", reason="NOT_FOUND", source="API"),
        failed("timeout1"),
        failed("timeout2"),
        failed("open", reason="CIRCUIT_OPEN"),
        failed("before", identified=0, occurred_at="2026-01-30T08:00:00.000Z"),
        logged("a1", duration_ms=10, waiters=2),
        logged("a2", duration_ms=20, status="NOT_FOUND", lookup_id="l2"),
        logged("a3", duration_ms=30, status="FAILED", lookup_id="l3"),
        logged("a4", duration_ms=900, status="TIMEOUT", lookup_id="l3", waiters=1),
    )
    counted = (await web.graphql(STATS, window=60))["data"]["lookupStats"]
    del counted["since"], counted["until"]
    assert counted == {
        "windowSeconds": 60,
        "lookups": 9,
        "fresh": 2,
        "stale": 1,
        "api": 1,
        "unknown": 2,
        "failed": 3,
        "failures": [
            {"reason": "TIMEOUT", "count": 2},
            {"reason": "CIRCUIT_OPEN", "count": 1},
        ],
        "hitRatio": 3 / 9,
        "apiAttempts": 4,
        "apiFailures": 2,
        "apiP50Ms": 20,
        "apiP95Ms": 900,
        "callsSavedByCache": 3,
        "callsSavedByCoalescing": 3,
    }


async def test_counting_takes_a_statement_for_each_length_of_spans_and_each_kind_of_rows(
    web: WebView, statements: list[str]
) -> None:
    await web.graphql(STATS)
    assert len(statements) <= 6


@pytest.mark.parametrize("window", [0, -1, 604_801])
async def test_a_window_out_of_range_is_refused_by_name(web: WebView, window: int) -> None:
    message = await refused(web, STATS, window=window)
    assert message == "windowSeconds must be from 1 to 604800"


# -- timelines

EXPLAIN = """
query ($basketId: ID!) {
  explainLookup(basketId: $basketId) {
    basketId basket { terminalId } timeline { at kind title detail { key value } raw }
  }
}"""


async def test_a_basket_that_nobody_saw_is_not_explained(web: WebView) -> None:
    for basket in ("b9", "", "\0", "x" * 257):
        assert await web.graphql(EXPLAIN, basketId=basket) == {"data": {"explainLookup": None}}


async def test_a_timeline_tells_an_answer_by_the_directory_step_by_step(
    engine: AsyncEngine, web: WebView
) -> None:
    await project(
        engine,
        started("basket_1"),
        logged("try1", lookup_id="lookup-a1", request_timestamp=at(9), status="TIMEOUT"),
        logged("try2", lookup_id="lookup-a1", attempt=2),
        found("a1", fetched=10, attempts=2),
    )
    explained = (await web.graphql(EXPLAIN, basketId="basket_1"))["data"]["explainLookup"]
    assert (explained["basketId"], explained["basket"]) == ("basket_1", {"terminalId": "t1"})
    assert [(entry["kind"], entry["title"]) for entry in explained["timeline"]] == [
        ("STARTED", "The basket was started"),
        ("IDENTIFIED", "A customer was identified"),
        ("NORMALISED", "Read as a phone number"),
        ("CACHE", "Nothing fresh in the cache"),
        ("ATTEMPT", "Attempt 1: TIMEOUT"),
        ("ATTEMPT", "Attempt 2: SUCCESS"),
        ("ANSWERED", "Answered by the directory"),
        ("STORED", "The basket has its customer in SQL"),
    ]
    attempt = explained["timeline"][5]
    assert attempt["at"] == at(10)
    assert {"key": "duration", "value": "9 ms"} in attempt["detail"]
    assert {"key": "http status", "value": "200"} in attempt["detail"]
    raw = orjson.loads(attempt["raw"])
    assert (raw["request_timestamp"], raw["response_data"]) == (at(10), {"customer_id": "CUST_001"})


async def test_a_timeline_takes_at_most_five_statements(
    engine: AsyncEngine, web: WebView, statements: list[str]
) -> None:
    await project(engine, *(found(f"a{n}") for n in range(9)), logged("l1"), started("basket_1"))
    statements.clear()
    await web.graphql(EXPLAIN, basketId="basket_1")
    assert len(statements) == 5


def test_the_test_day_begins_where_the_clock_of_the_view_stands() -> None:
    assert datetime.fromisoformat(at(0)) == datetime(2026, 1, 31, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    "query",
    [
        "{ allCustomers { identifiers } }",
        "{ allCustomers { ...known } } fragment known on Customer { identifiers }",
        "query($with: Boolean = true) { allCustomers { identifiers @include(if: $with) } }",
    ],
)
async def test_customers_have_their_identifiers_wherever_the_document_asks_for_them(
    web: WebView, engine: AsyncEngine, query: str
) -> None:
    await SqlProjection(engine).apply([found("e1")])
    answer = await web.graphql(query)
    assert answer == {"data": {"allCustomers": [{"identifiers": ["+1234567890"]}]}}


async def test_identifiers_that_nobody_asked_for_are_not_read(
    web: WebView, engine: AsyncEngine
) -> None:
    await SqlProjection(engine).apply([found("e1")])
    statements: list[str] = []
    event.listen(
        engine.sync_engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, *_: statements.append(statement),
    )
    await web.graphql("{ customers { edges { node { customerId } } } }")
    assert [it for it in statements if "FROM customers" in it]
    assert not [it for it in statements if "customer_identifiers" in it]
