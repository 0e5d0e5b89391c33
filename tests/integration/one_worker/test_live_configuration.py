"""The live configuration, seen from outside: a real worker, a real broker, a till's answers."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from agents.baskets.topics import BASKET_COMPLETED, POS_EVENTS
from agents.customer_lookup import topics
from posstream.kafka.topics import PLUGIN_CONFIGURATION
from tests.integration.harness import ForeignClient, Scan, Worker, foreign_client, produce, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANSWERS = (topics.CUSTOMER_DATA_FETCHED, topics.CUSTOMER_LOOKUP_FAILED)
#: What the contract allows until a change is in force.
LIVE_SECONDS = 2


async def configuration(worker: Worker) -> dict[str, Any]:
    """What is in force on the worker."""
    answer = await worker.graphql("{ pluginConfiguration { version enabled overrides } }")
    shown: dict[str, Any] = answer["data"]["pluginConfiguration"]
    return shown


async def update(
    worker: Worker, arguments: str, plugin: str = "customer_lookup", **config: object
) -> dict[str, Any]:
    text = json.dumps(json.dumps(config))
    answer = await worker.graphql(
        f'mutation {{ updatePluginConfiguration(name: "{plugin}", config: {text}'
        f"{arguments}) {{ success version error {{ code message }} }} }}"
    )
    outcome: dict[str, Any] = answer["data"]["updatePluginConfiguration"]
    return outcome


async def off_plugins(worker: Worker) -> list[str]:
    """What `/health/ready` says of plugins that are switched off."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{worker.url}/health/ready") as response,
    ):
        report = await response.json()
    return [it for it in report["reasons"] if "switched off" in it]


async def answer_to_a_scan(client: ForeignClient) -> dict[str, Any]:
    """What a till is told about a customer that nobody asked for before."""
    scan = Scan(str(uuid.uuid4()), f"basket-{uuid.uuid4().hex[:8]}", f"CARD_{uuid.uuid4().hex}")

    def answers(seen: Any) -> list[dict[str, Any]]:
        return [value for value in seen.of(*ANSWERS) if value["lookup_id"] == scan.lookup_id]

    await produce(client, [scan])
    await client.read_until(answers)
    return answers(client.seen)[0]


@pytest_asyncio.fixture(loop_scope="session")
async def restored(worker: Worker) -> AsyncIterator[Worker]:
    """The session's worker, whose configuration is the default again afterwards."""
    yield worker
    overrides = json.loads((await configuration(worker))["overrides"])
    outcome = await update(worker, ", enabled: true", **dict.fromkeys(overrides))
    assert outcome["success"], outcome


async def test_answers_carry_the_new_version_as_soon_as_an_edit_was_answered(
    client: ForeignClient, restored: Worker
) -> None:
    before = (await configuration(restored))["version"]
    assert (await answer_to_a_scan(client))["config_version"] == before
    outcome = await update(restored, f", expectedVersion: {before}", retry_attempts=3)
    assert outcome == {"success": True, "version": before + 1, "error": None}
    assert (await answer_to_a_scan(client))["config_version"] == before + 1


async def test_a_plugin_that_is_switched_off_answers_disabled_until_it_is_on_again(
    client: ForeignClient, restored: Worker
) -> None:
    off = await update(restored, ", enabled: false")
    refused = await answer_to_a_scan(client)
    assert (refused.get("reason"), refused["config_version"]) == ("DISABLED", off["version"])
    on = await update(restored, ", enabled: true")
    found = await answer_to_a_scan(client)
    assert (found["source"], found["config_version"]) == ("API", on["version"])


async def test_a_refused_edit_names_its_key_and_leaves_the_version(
    client: ForeignClient, restored: Worker
) -> None:
    before = await configuration(restored)
    outcome = await update(restored, "", retry_attempts=0, cache_ttl_seconds=1)
    assert (outcome["success"], outcome["version"]) == (False, before["version"])
    assert outcome["error"]["code"] == "INVALID_CONFIGURATION"
    assert outcome["error"]["message"].startswith("retry_attempts: ")
    late = await update(restored, f", expectedVersion: {before['version'] + 1}", retry_attempts=1)
    assert late["error"]["code"] == "CONFLICT"
    assert await configuration(restored) == before
    assert (await answer_to_a_scan(client))["config_version"] == before["version"]


async def test_a_version_that_another_writer_puts_on_the_topic_is_in_force_within_2_seconds(
    client: ForeignClient, restored: Worker
) -> None:
    version = (await configuration(restored))["version"] + 1
    bad = {"version": version, "enabled": True, "config": {"retry_attempts": 99}}
    good = {"version": version, "enabled": True, "config": {"retry_attempts": 4}}
    for record in (bad, good):
        await client.producer.send_and_wait(
            PLUGIN_CONFIGURATION, json.dumps(record).encode(), key=b"customer_lookup"
        )
    give_up_at = time.monotonic() + LIVE_SECONDS
    shown = await configuration(restored)
    while shown["version"] != version:
        assert time.monotonic() < give_up_at, shown
        shown = await configuration(restored)
    assert json.loads(shown["overrides"]) == {"retry_attempts": 4}
    assert (await answer_to_a_scan(client))["config_version"] == version


async def test_events_of_baskets_wait_while_the_plugin_is_off_and_all_count_when_it_is_on_again(
    servers: str, worker: Worker
) -> None:
    basket = f"basket_{uuid.uuid4().hex[:12]}"

    def revisions(seen: Any) -> list[int]:
        return [it["revision"] for it in seen.of(BASKET_COMPLETED) if it["basket_id"] == basket]

    async with foreign_client(servers, BASKET_COMPLETED) as client:
        off = await update(worker, ", enabled: false", plugin="baskets")
        await until(lambda: off_plugins(worker), ["the plugin baskets is switched off"])
        await asyncio.sleep(LIVE_SECONDS)  # the worker's other process follows by itself
        try:
            for event_type, fields in (
                ("ITEM_ADDED", {"product_id": "p", "price": "2.50"}),
                ("PAYMENT_COMPLETED", {"amount": "2.50"}),
            ):
                event = {"basket_id": basket, "event_type": event_type, **fields}
                await client.producer.send_and_wait(
                    POS_EVENTS, json.dumps(event).encode(), key=basket.encode()
                )
            await client.read_for(2)
            assert (off["success"], revisions(client.seen)) == (True, [])
        finally:
            on = await update(worker, ", enabled: true", plugin="baskets")
        await client.read_until(lambda seen: revisions(seen) == [2])
        assert on["success"]
    await until(lambda: off_plugins(worker), [])
