"""Subscriptions as the clients of the protocols' authors see them: graphql-ws and graphql-sse."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from posstream.settings import Settings
from tests.component.web_client import WebView, running_web
from tests.node.packages import installed, run

pytestmark = pytest.mark.node

PACKAGES = ("graphql-ws@6.4.2", "graphql-sse@2.6.1", "ws@8", "graphql@16")
KEY = "a-key-of-some-length"
CLIENTS = {
    "graphql-ws": """
import { createClient } from "graphql-ws";
import WebSocket from "ws";
const [, , url, key, query] = process.argv;
class Keyed extends WebSocket {
  constructor(address, protocols) {
    super(address, protocols, { headers: { Authorization: `Bearer ${key}` } });
  }
}
const client = createClient({
  url: url.replace("http", "ws"), webSocketImpl: Keyed, retryWait: async () => {},
});
""",
    "graphql-sse": """
import { createClient } from "graphql-sse";
const [, , url, key, query] = process.argv;
const client = createClient({
  url, headers: { Authorization: `Bearer ${key}` }, retry: async () => {},
});
""",
}
#: Prints what comes until there are two results or the operation has ended, and says by a
#: mutation that the first one is there.
TAKE_TWO = """
const identify = `mutation { identifyCustomer(basketId: "b", customerIdentifier: "+1234567890")
  { success } }`;
const got = [];
try {
  for await (const result of client.iterate({ query })) {
    got.push(result);
    if (got.length === 2) break;
    await fetch(url, {
      method: "POST",
      headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
      body: JSON.stringify({ query: identify }),
    });
  }
} catch (why) {
  got.push({ thrown: why });
}
console.log(JSON.stringify(got));
await client.dispose();
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(tmp_path_factory.mktemp("npm"), *PACKAGES)


class Watched:
    """What a client did: something in the queue for each subscription that stands or mutation."""

    def __init__(self, view: WebView) -> None:
        self.subscribed: asyncio.Queue[str | None] = asyncio.Queue()
        self.published: asyncio.Queue[str] = asyncio.Queue()
        subscribe, publish = view.answers.subscribe, view.publisher.publish

        async def subscribe_and_tell(basket_id: str | None = None) -> Any:
            subscription = await subscribe(basket_id)
            self.subscribed.put_nowait(basket_id)
            return subscription

        async def publish_and_tell(record: Any) -> None:
            await publish(record)
            self.published.put_nowait(record.topic)

        view.answers.subscribe = subscribe_and_tell  # type: ignore[method-assign]
        view.publisher.publish = publish_and_tell  # type: ignore[method-assign]


def take(view: WebView, event_id: str) -> None:
    event = {"event_id": event_id, "basket_id": "basket_1"}
    view.answers.take(b"basket_1", orjson.dumps(event))


async def results(packages: Path, view: WebView, name: str, query: str) -> Any:
    url = str(view.client.make_url("/graphql/"))
    return orjson.loads(await run(packages, CLIENTS[name] + TAKE_TWO, url, KEY, query))


@pytest.mark.parametrize("name", CLIENTS)
async def test_a_client_gets_its_answers_and_comes_back_when_its_stream_was_ended(
    packages: Path, name: str
) -> None:
    query = 'subscription { customerAnswered(basketId: "basket_1") { eventId } }'
    async with running_web(Settings(api_key=KEY)) as view, asyncio.timeout(60):
        watched = Watched(view)
        printed = asyncio.create_task(results(packages, view, name, query))
        assert await watched.subscribed.get() == "basket_1"
        take(view, "first")
        await watched.published.get()
        await view.client.server.app.shutdown()  # as at a stop; this one listens on
        assert await watched.subscribed.get() == "basket_1"
        take(view, "second")
        got = await printed
    assert got == [{"data": {"customerAnswered": {"eventId": it}}} for it in ("first", "second")]


@pytest.mark.parametrize("name", CLIENTS)
async def test_a_query_has_one_result(packages: Path, name: str) -> None:
    async with running_web(Settings(api_key=KEY)) as view:
        got = await results(packages, view, name, "{ __typename }")
    assert got == [{"data": {"__typename": "Query"}}]


@pytest.mark.parametrize(("name", "place"), [("graphql-ws", "thrown"), ("graphql-sse", "errors")])
async def test_a_client_is_told_what_is_wrong_with_its_operation(
    packages: Path, name: str, place: str
) -> None:
    async with running_web(Settings(api_key=KEY)) as view:
        (told,) = await results(packages, view, name, "subscription { nothing }")
    (error,) = told[place]
    assert error["extensions"] == {"code": "GRAPHQL_VALIDATION_FAILED"}
