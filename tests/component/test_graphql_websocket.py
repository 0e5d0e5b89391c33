"""GraphQL over WebSocket: the protocol `graphql-transport-ws`, message by message."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, WSServerHandshakeError, web
from aiohttp.test_utils import TestClient, TestServer

from posstream.kafka.event_feed import MAX_SUBSCRIBERS, MAX_WAITING
from posstream.settings import Settings
from tests.component.web_client import BrokenSubscription, WebView, running_web
from web.graphql import websocket
from web.graphql.websocket import MAX_OPERATIONS, PROTOCOL, GraphQLSockets
from web.http.streams import OpenStreams

KEY = "a-key-of-some-length"
SUBSCRIPTION = "subscription ($b: ID) { customerAnswered(basketId: $b) { eventId basketId } }"


@pytest.fixture
async def web_view() -> AsyncIterator[WebView]:
    async with running_web() as view:
        yield view


@asynccontextmanager
async def connected(view: WebView, **options: Any) -> AsyncIterator[ClientWebSocketResponse]:
    """A socket on which nothing was said yet."""
    async with view.client.ws_connect("/graphql/", protocols=(PROTOCOL,), **options) as socket:
        yield socket


@asynccontextmanager
async def initialised(view: WebView, **options: Any) -> AsyncIterator[ClientWebSocketResponse]:
    async with connected(view, **options) as socket:
        await socket.send_json({"type": "connection_init"})
        assert await next_message(socket) == {"type": "connection_ack"}
        yield socket


async def next_message(socket: ClientWebSocketResponse) -> Any:
    async with asyncio.timeout(5):
        return await socket.receive_json()


async def closed(socket: ClientWebSocketResponse) -> tuple[int, str]:
    """The code and the reason with which the server closed it, whatever came before."""
    async with asyncio.timeout(20):
        while True:
            message = await socket.receive()
            if message.type is WSMsgType.CLOSE:
                return message.data, message.extra
            assert message.type is WSMsgType.TEXT, message


async def subscribe(
    socket: ClientWebSocketResponse, name: str, basket_id: str | None = None
) -> None:
    """Subscribe, and wait until it stands."""
    payload = {"query": SUBSCRIPTION, "variables": {"b": basket_id}}
    await socket.send_json({"id": name, "type": "subscribe", "payload": payload})
    await stands(socket)


async def stands(socket: ClientWebSocketResponse) -> None:
    await socket.send_json({"type": "ping"})
    assert await next_message(socket) == {"type": "pong"}


def publish(view: WebView, event_id: str, basket_id: str = "basket_1", **more: Any) -> None:
    event = {"event_id": event_id, "basket_id": basket_id, **more}
    view.answers.take(basket_id.encode(), orjson.dumps(event))


def answered(name: str, event_id: str, basket_id: str = "basket_1") -> dict[str, Any]:
    data = {"customerAnswered": {"eventId": event_id, "basketId": basket_id}}
    return {"id": name, "type": "next", "payload": {"data": data}}


async def metrics(view: WebView) -> str:
    text: str = await (await view.client.get("/metrics")).text()
    return text


# -- the connection


async def test_a_ping_is_answered_with_its_payload_even_before_the_initialisation(
    web_view: WebView,
) -> None:
    async with connected(web_view) as socket:
        await socket.send_json({"type": "ping", "payload": {"at": 1}})
        assert await next_message(socket) == {"type": "pong", "payload": {"at": 1}}
        await socket.send_json({"type": "pong"})
        await socket.send_json({"type": "connection_init", "payload": {"any": "thing"}})
        assert await next_message(socket) == {"type": "connection_ack"}


async def test_whoever_does_not_introduce_themselves_in_time_is_closed_with_4408() -> None:
    async with running_web() as view:
        sockets = GraphQLSockets(
            None,  # type: ignore[arg-type] # nothing is executed
            OpenStreams(view.metrics),
            init_seconds=0.05,
        )

        async def answer(request: web.Request) -> web.StreamResponse:
            return await sockets.answer(request, None)  # type: ignore[arg-type]

        application = web.Application()
        application.add_routes([web.get("/graphql/", answer)])
        async with (
            TestClient(TestServer(application)) as client,
            client.ws_connect("/graphql/", protocols=(PROTOCOL,)) as socket,
        ):
            # A ping does not count.
            await socket.send_json({"type": "ping"})
            assert await closed(socket) == (4408, "Connection initialisation timeout")


async def test_a_second_initialisation_is_closed_with_4429(web_view: WebView) -> None:
    async with initialised(web_view) as socket:
        await socket.send_json({"type": "connection_init"})
        assert await closed(socket) == (4429, "Too many initialisation requests")


async def test_an_operation_before_the_initialisation_is_closed_with_4401(
    web_view: WebView,
) -> None:
    async with connected(web_view) as socket:
        payload = {"query": "{ __typename }"}
        await socket.send_json({"id": "1", "type": "subscribe", "payload": payload})
        assert await closed(socket) == (4401, "Unauthorized")


async def test_an_id_in_use_is_closed_with_4409(web_view: WebView) -> None:
    async with initialised(web_view) as socket:
        await subscribe(socket, "a")
        payload = {"query": "{ __typename }"}
        await socket.send_json({"id": "a", "type": "subscribe", "payload": payload})
        assert await closed(socket) == (4409, "Subscriber for a already exists")


@pytest.mark.parametrize("protocols", [(), ("graphql-ws",)])
async def test_another_protocol_is_closed_with_4406(
    web_view: WebView, protocols: tuple[str, ...]
) -> None:
    async with web_view.client.ws_connect("/graphql/", protocols=protocols) as socket:
        assert await closed(socket) == (4406, "Subprotocol not acceptable")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        '"ping"',
        "{}",
        '{"type":null}',
        '{"type":"start"}',
        '{"type":"connection_ack"}',
        '{"type":"next","id":"1","payload":{}}',
        '{"type":"ping","payload":[]}',
        '{"type":"ping","payload":1}',
        '{"type":"subscribe"}',
        '{"type":"subscribe","id":1,"payload":{"query":"{ __typename }"}}',
        '{"type":"subscribe","id":"","payload":{"query":"{ __typename }"}}',
        '{"type":"subscribe","id":"1","payload":null}',
        '{"type":"subscribe","id":"1","payload":{}}',
        '{"type":"subscribe","id":"1","payload":{"query":1}}',
        '{"type":"subscribe","id":"1","payload":{"query":"{ __typename }","variables":[]}}',
        '{"type":"subscribe","id":"1","payload":{"query":"{ __typename }","operationName":1}}',
        '{"type":"subscribe","id":"' + "x" * 257 + '","payload":{"query":"{ __typename }"}}',
        '{"type":"complete"}',
        '{"type":"complete","id":{}}',
    ],
)
async def test_what_is_no_message_is_closed_with_4400(web_view: WebView, text: str) -> None:
    async with initialised(web_view) as socket:
        await socket.send_str(text)
        code, reason = await closed(socket)
        assert code == 4400
        assert reason


async def test_a_binary_message_is_closed_with_4400(web_view: WebView) -> None:
    async with initialised(web_view) as socket:
        await socket.send_bytes(b'{"type":"ping"}')
        assert (await closed(socket))[0] == 4400


async def test_a_message_longer_than_a_request_may_be_is_closed_with_1009(
    web_view: WebView,
) -> None:
    async with initialised(web_view) as socket:
        await socket.send_str('{"type":"ping","payload":{"x":"' + "x" * 300_000 + '"}}')
        assert (await closed(socket))[0] == 1009


# -- who may connect


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "http://[", ""]
)
async def test_a_page_of_another_origin_gets_no_socket(web_view: WebView, origin: str) -> None:
    headers = {"Origin": origin}
    with pytest.raises(WSServerHandshakeError) as refused:
        async with connected(web_view, headers=headers):
            pass
    assert refused.value.status == 403


async def test_a_page_of_this_host_in_the_other_scheme_gets_no_socket(web_view: WebView) -> None:
    own = str(web_view.client.make_url("/").origin()).replace("http:", "https:")
    with pytest.raises(WSServerHandshakeError) as refused:
        async with connected(web_view, headers={"Origin": own}):
            pass
    assert refused.value.status == 403


async def test_a_page_of_this_origin_gets_one(web_view: WebView) -> None:
    own = str(web_view.client.make_url("/").origin())
    async with initialised(web_view, headers={"Origin": own}) as socket:
        await subscribe(socket, "a")


async def test_a_name_that_was_made_to_lead_here_gets_no_socket(web_view: WebView) -> None:
    headers = {"Host": "evil.example", "Origin": "http://evil.example"}
    with pytest.raises(WSServerHandshakeError) as refused:
        async with connected(web_view, headers=headers):
            pass
    assert refused.value.status == 421


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer x"}, {"Cookie": "posstream_session=x"}]
)
async def test_the_key_is_asked_for_before_the_upgrade(headers: dict[str, str]) -> None:
    async with running_web(Settings(api_key=KEY)) as locked:
        with pytest.raises(WSServerHandshakeError) as refused:
            async with connected(locked, headers=headers):
                pass
        assert refused.value.status == 401


async def test_with_the_key_there_is_a_socket() -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        running_web(Settings(api_key=KEY)) as locked,
        initialised(locked, headers=headers) as socket,
    ):
        await subscribe(socket, "a")


async def test_a_plain_get_that_only_says_upgrade_is_a_bad_request(web_view: WebView) -> None:
    response = await web_view.client.get("/graphql/", headers={"Upgrade": "websocket"})
    assert response.status == 400


# -- operations


async def test_two_subscriptions_of_one_connection_get_what_they_asked_for(
    web_view: WebView,
) -> None:
    async with initialised(web_view) as socket:
        await subscribe(socket, "one", "basket_1")
        await subscribe(socket, "all")
        publish(web_view, "first", "basket_1")
        publish(web_view, "second", "basket_2")
        got = [await next_message(socket) for _ in range(3)]
        assert [one for one in got if one["id"] == "one"] == [answered("one", "first")]
        assert [one for one in got if one["id"] == "all"] == [
            answered("all", "first"),
            answered("all", "second", "basket_2"),
        ]


async def test_an_answer_has_every_field_of_its_event(web_view: WebView) -> None:
    fields = (
        "eventId eventType schemaVersion occurredAt lookupId basketId customerIdentifier "
        "identifierKind identifiedAt source reason errorMessage fetchedAt freshUntil ageMs "
        "attempts durationMs configVersion customer { customerId firstName lastName email phone "
        "loyaltyPoints tier totalPurchases lastPurchaseDate attributes }"
    )
    event: dict[str, Any] = {
        "event_id": "e1",
        "event_type": "CUSTOMER_DATA_FETCHED",
        "schema_version": 1,
        "occurred_at": "2026-01-31T08:00:00.000Z",
        "lookup_id": "l1",
        "basket_id": "basket_1",
        "customer_identifier": "+1234567890",
        "identifier_kind": "PHONE",
        "identified_at": "2026-01-31T07:59:59.000Z",
        "source": "CACHE",
        "fetched_at": "2026-01-31T07:00:00.000Z",
        "fresh_until": "2026-01-31T08:00:00.000Z",
        "age_ms": 3_600_000,
        "attempts": 0,
        "duration_ms": 1,
        "config_version": 3,
        "customer": {
            "customer_id": "CUST_001",
            "first_name": "John",
            "last_name": "Doe",
            "email": "john@example.com",
            "phone": "+1234567890",
            "loyalty_points": 1250,
            "tier": "GOLD",
            "total_purchases": "12.50",
            "last_purchase_date": None,
            "attributes": {"vip": True},
        },
    }
    async with initialised(web_view) as socket:
        payload = {"query": f"subscription {{ customerAnswered {{ {fields} }} }}"}
        await socket.send_json({"id": "1", "type": "subscribe", "payload": payload})
        await stands(socket)
        web_view.answers.take(b"basket_1", orjson.dumps(event))
        got = (await next_message(socket))["payload"]
    answer = got["data"]["customerAnswered"]
    customer = answer.pop("customer")
    attributes = orjson.loads(customer.pop("attributes"))
    assert "errors" not in got
    assert attributes == {"vip": True}
    assert {snake(k): v for k, v in customer.items()} | {"attributes": attributes} == event[
        "customer"
    ]
    absent = {"reason": None, "error_message": None}
    assert {snake(k): v for k, v in answer.items()} | {"customer": event["customer"]} == (
        event | absent
    )


def snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


async def test_what_does_not_fit_is_an_error_at_its_field(web_view: WebView) -> None:
    async with initialised(web_view) as socket:
        query = "subscription { customerAnswered { eventId customer { loyaltyPoints } } }"
        await socket.send_json({"id": "1", "type": "subscribe", "payload": {"query": query}})
        await stands(socket)
        publish(web_view, "e1", customer={"loyalty_points": 2**40})
        payload = (await next_message(socket))["payload"]
    assert payload["data"] == {
        "customerAnswered": {"eventId": "e1", "customer": {"loyaltyPoints": None}}
    }
    assert payload["errors"][0]["extensions"] == {"code": "OUT_OF_RANGE"}


async def test_a_completed_subscription_gets_nothing_more_and_frees_its_id(
    web_view: WebView,
) -> None:
    async with initialised(web_view) as socket:
        await subscribe(socket, "a")
        await socket.send_json({"id": "a", "type": "complete"})
        await socket.send_json({"id": "unknown", "type": "complete"})
        await stands(socket)
        publish(web_view, "unwanted")
        await subscribe(socket, "a")
        publish(web_view, "wanted")
        assert await next_message(socket) == answered("a", "wanted")


async def test_queries_and_mutations_are_answered_once(web_view: WebView) -> None:
    async with initialised(web_view) as socket:
        query = 'mutation { startBasket(employeeId: 1, terminalId: "t1") { success } }'
        await socket.send_json({"id": "1", "type": "subscribe", "payload": {"query": query}})
        data = {"startBasket": {"success": True}}
        assert await next_message(socket) == {"id": "1", "type": "next", "payload": {"data": data}}
        assert await next_message(socket) == {"id": "1", "type": "complete"}
    assert len(web_view.publisher.records) == 1


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("subscription {", "GRAPHQL_PARSE_FAILED"),
        ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
        (
            "subscription { customerAnswered { eventId } b: __typename }",
            "GRAPHQL_VALIDATION_FAILED",
        ),
        ("subscription A { customerAnswered { eventId } } query B { __typename }", "BAD_REQUEST"),
        ('subscription { customerAnswered(basketId: "") { eventId } }', "BAD_USER_INPUT"),
        ('subscription { customerAnswered(basketId: "\\u0000") { eventId } }', "BAD_USER_INPUT"),
        ("subscription { customerAnswered @skip(if: true) { eventId } }", "BAD_REQUEST"),
        (
            "subscription ($b: Boolean!) { customerAnswered @skip(if: $b) { eventId } }",
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            "subscription { customerAnswered { "
            + " ".join(f"a{n}: eventId" for n in range(300))
            + " } }",
            "QUERY_TOO_COMPLEX",
        ),
        (
            "subscription ($b: ID!) { customerAnswered(basketId: $b) { eventId } }",
            "BAD_REQUEST",
        ),
    ],
)
async def test_an_operation_that_cannot_run_is_an_error_of_its_own_and_the_connection_lives(
    web_view: WebView, query: str, code: str
) -> None:
    async with initialised(web_view) as socket:
        await socket.send_json({"id": "1", "type": "subscribe", "payload": {"query": query}})
        message = await next_message(socket)
        assert (message["type"], message["id"]) == ("error", "1")
        assert message["payload"][0]["extensions"]["code"] == code
        await subscribe(socket, "1")


async def test_an_unexpected_error_shows_only_a_reference_that_is_in_the_log(
    web_view: WebView, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_: str | None) -> Any:
        raise RuntimeError("no such socket: 10.0.0.1")

    web_view.answers.subscribe = broken  # type: ignore[method-assign]
    async with initialised(web_view) as socket:
        with caplog.at_level(logging.ERROR):
            payload = {"query": SUBSCRIPTION}
            await socket.send_json({"id": "1", "type": "subscribe", "payload": payload})
            message = await next_message(socket)
    (error,) = message["payload"]
    assert (message["type"], error["message"]) == ("error", "Internal error")
    assert error["extensions"]["reference"] in caplog.text
    assert "10.0.0.1" in caplog.text


async def test_a_stream_that_fails_is_closed_with_4500_and_a_reference_that_is_in_the_log(
    web_view: WebView, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_: str | None) -> Any:
        return BrokenSubscription()

    web_view.answers.subscribe = broken  # type: ignore[method-assign]
    async with initialised(web_view) as socket:
        with caplog.at_level(logging.ERROR):
            payload = {"query": SUBSCRIPTION}
            await socket.send_json({"id": "1", "type": "subscribe", "payload": payload})
            code, reason = await closed(socket)
    said, _, reference = reason.rpartition(" ")
    assert (code, said) == (4500, "Internal error, reference")
    assert reference in caplog.text
    assert "10.0.0.1" in caplog.text


async def test_a_viewer_sees_identifiers_masked() -> None:
    viewer = "a-viewers-key-of-some-length"
    settings = Settings.from_environment({"POSSTREAM_API_KEYS": f"viewer:{viewer}"})
    async with running_web(settings) as view:
        headers = {"Authorization": f"Bearer {viewer}"}
        async with initialised(view, headers=headers) as socket:
            query = (
                "subscription { customerAnswered { customerIdentifier "
                "customer { email phone attributes } } }"
            )
            await socket.send_json({"id": "1", "type": "subscribe", "payload": {"query": query}})
            await stands(socket)
            customer = {"email": "john@example.com", "phone": "+1234567890"}
            customer["attributes"] = {"twin": "+0987654321"}  # type: ignore[assignment]
            publish(view, "e1", customer_identifier="+1234567890", customer=customer)
            message = orjson.dumps(await next_message(socket)).decode()
    assert "+1******890" in message
    assert [full for full in ("1234567890", "john@", "0987654321") if full in message] == []


# -- bounds


async def test_a_connection_has_only_so_many_operations(web_view: WebView) -> None:
    async with initialised(web_view) as socket:
        payload = {"query": SUBSCRIPTION}
        for number in range(MAX_OPERATIONS + 1):
            message = {"id": str(number), "type": "subscribe", "payload": payload}
            await socket.send_json(message)
        refused = await next_message(socket)
        assert (refused["type"], refused["id"]) == ("error", str(MAX_OPERATIONS))
        assert refused["payload"][0]["extensions"] == {"code": "TOO_MANY_OPERATIONS"}
        await socket.send_json({"id": "0", "type": "complete"})
        await subscribe(socket, "another")


async def test_a_client_that_does_not_read_is_closed_with_1013_and_counted(
    web_view: WebView,
) -> None:
    async with initialised(web_view) as socket:
        await subscribe(socket, "all")
        # Nothing is sent in between, so all of them wait.
        for number in range(MAX_WAITING + 1):
            publish(web_view, str(number))
        code, reason = await closed(socket)
        assert (code, reason.split(":")[0]) == (1013, "too slow")
    assert "posstream_streams_dropped_total 1.0" in await metrics(web_view)


async def test_a_client_whose_buffers_are_full_is_cut_off_and_counted(
    web_view: WebView, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "SEND_SECONDS", 0.1)
    async with initialised(web_view) as socket:
        query = "subscription { customerAnswered { errorMessage } }"
        await socket.send_json({"id": "1", "type": "subscribe", "payload": {"query": query}})
        await stands(socket)
        transport = socket._response.connection.transport  # type: ignore[union-attr]
        transport.pause_reading()
        async with asyncio.timeout(20):
            number = 0
            while "posstream_streams 1.0" in await metrics(web_view):
                number += 1
                publish(web_view, str(number), error_message="x" * 200_000)
        assert number < MAX_WAITING
        assert "posstream_streams_dropped_total 1.0" in await metrics(web_view)
        transport.abort()  # a polite goodbye would wait for one


async def test_a_client_that_has_gone_holds_nothing(web_view: WebView) -> None:
    async with initialised(web_view) as socket:
        await subscribe(socket, "all")
        assert "posstream_streams 1.0" in await metrics(web_view)
        await socket.close()
    async with asyncio.timeout(5):
        while "posstream_streams 0.0" not in await metrics(web_view):
            pass
    for _ in range(MAX_SUBSCRIBERS):  # refused if it still had its place
        await web_view.answers.subscribe()


async def test_the_end_of_the_worker_is_said_with_1001() -> None:
    async with running_web() as view, initialised(view) as socket:
        await subscribe(socket, "all")
        ending = asyncio.create_task(view.client.server.app.shutdown())
        assert await closed(socket) == (1001, "the worker stops")
        await ending


async def test_too_many_subscribers_are_told_to_come_back(web_view: WebView) -> None:
    for number in range(MAX_SUBSCRIBERS):
        await web_view.answers.subscribe(f"basket_{number}")
    async with initialised(web_view) as socket:
        payload = {"query": SUBSCRIPTION}
        await socket.send_json({"id": "1", "type": "subscribe", "payload": payload})
        message = await next_message(socket)
        assert message["payload"][0]["extensions"] == {"code": "TOO_MANY_SUBSCRIBERS"}
