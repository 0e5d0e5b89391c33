"""GraphQL over Server-Sent Events: the "distinct connections mode" of graphql-sse."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from aiohttp import ClientPayloadError, ClientResponse

from posstream.kafka.event_feed import MAX_WAITING
from posstream.settings import Settings
from tests.component.web_client import BrokenSubscription, WebView, running_web
from web.http import streams

KEY = "a-key-of-some-length"
STREAM = "text/event-stream"
SUBSCRIPTION = "subscription { customerAnswered { eventId } }"
#: What some clients send for any operation, and leave the form to the server.
EITHER = "application/graphql-response+json, application/json, text/event-stream"


@pytest.fixture
async def web_view() -> AsyncIterator[WebView]:
    async with running_web() as view:
        yield view


async def opened(view: WebView, query: str = SUBSCRIPTION, **headers: str) -> ClientResponse:
    return await view.post({"query": query}, **{"Accept": STREAM, **headers})


async def next_event(response: ClientResponse) -> tuple[str, str]:
    """The next event's name and data; comments are passed over."""
    event: dict[str, str] = {}
    async with asyncio.timeout(5):
        while True:
            line = (await response.content.readline()).decode()
            assert line, "the stream has ended"
            name, _, value = line.rstrip("\n").partition(":")
            if name:
                event[name] = value.removeprefix(" ")
            elif line == "\n" and event:
                return event["event"], event["data"]


async def answered(response: ClientResponse) -> Any:
    name, data = await next_event(response)
    assert name == "next"
    return orjson.loads(data)


def publish(view: WebView, event_id: str, basket_id: str = "basket_1") -> None:
    event = {"event_id": event_id, "basket_id": basket_id}
    view.answers.take(basket_id.encode(), orjson.dumps(event))


def data_of(event_id: str) -> dict[str, Any]:
    return {"data": {"customerAnswered": {"eventId": event_id}}}


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_whoever_has_the_headers_gets_what_is_published_then(
    web_view: WebView, method: str
) -> None:
    query = 'subscription { customerAnswered(basketId: "basket_1") { eventId } }'
    if method == "GET":
        response = await web_view.client.get(
            "/graphql/", params={"query": query}, headers={"Accept": STREAM}
        )
    else:
        response = await opened(web_view, query)
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-store"
    publish(web_view, "other", "basket_2")
    publish(web_view, "first")
    publish(web_view, "second")
    assert await answered(response) == data_of("first")
    assert await answered(response) == data_of("second")
    response.close()


async def test_a_silent_stream_begins_with_a_comment(web_view: WebView) -> None:
    response = await opened(web_view)
    assert await response.content.readuntil(b"\n\n") == b":\n\n"
    response.close()


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("subscription {", "GRAPHQL_PARSE_FAILED"),
        ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("query A { __typename } query B { __typename }", "BAD_REQUEST"),
        ('subscription { customerAnswered(basketId: " ") { eventId } }', "BAD_USER_INPUT"),
        ("subscription { customerAnswered @include(if: false) { eventId } }", "BAD_REQUEST"),
    ],
)
async def test_an_operation_that_cannot_run_is_an_event_and_the_end(
    web_view: WebView, query: str, code: str
) -> None:
    response = await opened(web_view, query)
    assert response.status == 200
    answer = await answered(response)
    assert list(answer) == ["errors"]
    assert answer["errors"][0]["extensions"]["code"] == code
    assert await next_event(response) == ("complete", "")
    assert await response.content.read() == b""


async def test_a_query_is_one_event_and_the_end(web_view: WebView) -> None:
    response = await opened(web_view, "{ __typename }")
    assert await answered(response) == {"data": {"__typename": "Query"}}
    assert await next_event(response) == ("complete", "")


async def test_a_mutation_is_for_post(web_view: WebView) -> None:
    query = 'mutation { startBasket(employeeId: 1, terminalId: "t1") { success } }'
    refused = await web_view.client.get(
        "/graphql/", params={"query": query}, headers={"Accept": STREAM}
    )
    assert (refused.status, refused.headers["Allow"]) == (405, "POST")
    response = await opened(web_view, query)
    assert await answered(response) == {"data": {"startBasket": {"success": True}}}
    assert len(web_view.publisher.records) == 1


async def test_what_is_no_request_is_refused_before_there_is_a_stream(web_view: WebView) -> None:
    response = await web_view.post({"query": 1}, Accept=STREAM)
    assert response.status == 400
    assert (await response.json())["errors"][0]["extensions"] == {"code": "BAD_REQUEST"}


async def test_a_client_that_takes_both_forms_gets_the_one_that_fits(web_view: WebView) -> None:
    query = await opened(web_view, "{ __typename }", Accept=EITHER)
    assert await query.json(content_type=None) == {"data": {"__typename": "Query"}}
    assert query.content_type == "application/graphql-response+json"
    subscription = await opened(web_view, Accept=EITHER)
    assert subscription.content_type == STREAM
    subscription.close()


async def test_a_subscription_that_cannot_be_streamed_is_not_acceptable(web_view: WebView) -> None:
    response = await web_view.post({"query": SUBSCRIPTION})
    assert response.status == 406
    assert "text/event-stream" in (await response.json())["errors"][0]["message"]


async def test_a_page_of_another_origin_gets_no_stream(web_view: WebView) -> None:
    response = await web_view.client.get(
        "/graphql/",
        params={"query": SUBSCRIPTION},
        headers={"Accept": STREAM, "Origin": "http://evil.example"},
    )
    assert response.status == 403


async def test_the_key_is_asked_for() -> None:
    async with running_web(Settings(api_key=KEY)) as locked:
        assert (await opened(locked)).status == 401
        response = await opened(locked, Authorization=f"Bearer {KEY}")
        publish(locked, "first")
        assert await answered(response) == data_of("first")
        response.close()


async def test_a_client_that_does_not_read_is_told_and_ended_and_counted(
    web_view: WebView,
) -> None:
    response = await opened(web_view)
    # Nothing is sent in between, so all of them wait.
    for number in range(MAX_WAITING + 1):
        publish(web_view, str(number))
    got: list[Any] = []
    while (event := await next_event(response))[0] == "next":
        got.append(orjson.loads(event[1]))
    assert event == ("complete", "")
    assert got[-1]["errors"][0]["extensions"] == {"code": "TOO_SLOW"}
    assert "posstream_streams_dropped_total 1.0" in await metrics(web_view)


async def test_a_client_whose_buffers_are_full_is_cut_off_and_counted(
    web_view: WebView, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "SEND_SECONDS", 0.1)
    response = await opened(web_view, "subscription { customerAnswered { errorMessage } }")
    transport = response.connection.transport  # type: ignore[union-attr]
    transport.pause_reading()
    async with asyncio.timeout(20):
        number = 0
        while "posstream_streams_dropped_total 0.0" in await metrics(web_view):
            number += 1
            event = {"event_id": str(number), "error_message": "x" * 200_000}
            web_view.answers.take(b"basket_1", orjson.dumps(event))
    assert number < MAX_WAITING
    assert "posstream_streams 0.0" in await metrics(web_view)
    response.close()


async def test_a_stream_that_fails_is_cut_off_and_its_cause_is_in_the_log(
    web_view: WebView, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_: str | None) -> Any:
        return BrokenSubscription()

    web_view.answers.subscribe = broken  # type: ignore[method-assign]
    with caplog.at_level(logging.ERROR):
        response = await opened(web_view)
        with pytest.raises(ClientPayloadError):
            await response.content.read()
    assert "10.0.0.1" in caplog.text


async def test_streams_take_at_most_half_of_the_connections() -> None:
    async with running_web(Settings(web_connections=4)) as view:
        first = await opened(view)
        await opened(view)
        refused = await opened(view)
        assert refused.status == 503
        first.close()
        async with asyncio.timeout(5):
            number = 0
            while "posstream_streams 2.0" in await metrics(view):
                number += 1
                publish(view, str(number))  # a write notices that nobody reads
        assert (await opened(view)).status == 200


async def test_the_end_of_the_worker_cuts_a_stream_so_that_its_client_comes_back() -> None:
    async with running_web() as view:
        response = await opened(view)
        await view.client.server.app.shutdown()
        with pytest.raises(ClientPayloadError):
            await response.content.read()


async def metrics(view: WebView) -> str:
    text: str = await (await view.client.get("/metrics")).text()
    return text
