"""The mutation `evictCustomer` and the command `posstream cache evict`, short of a worker."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from click.testing import CliRunner, Result

from agents.customer_lookup.cache_commands import Evict
from agents.customer_lookup.commands.cache import evict
from posstream.cli import main
from posstream.kafka.embedded_broker import EmbeddedBroker
from posstream.settings import Settings
from tests.component.web_client import WebView, running_web
from tests.integration.harness import free_port

EVICT = """
mutation ($identifier: String, $prefix: String, $all: Boolean) {
  evictCustomer(identifier: $identifier, prefix: $prefix, all: $all) {
    success error { code message }
  }
}"""
VISA = "4111 1111 1111 1111"


@pytest.fixture
async def web() -> AsyncIterator[WebView]:
    async with running_web() as view:
        yield view


async def evicted(web: WebView, **arguments: object) -> dict[str, Any]:
    answer = await web.graphql(EVICT, **arguments)
    outcome: dict[str, Any] = answer["data"]["evictCustomer"]
    return outcome


async def test_one_customer_is_evicted_by_any_spelling(web: WebView) -> None:
    assert await evicted(web, identifier=" JOHN@Example.com") == {"success": True, "error": None}
    (record,) = web.publisher.records
    assert (record.topic, record.key) == ("posstream-cache-commands", b"john@example.com")
    assert web.publisher.value() == {
        "op": "evict",
        "identifier": "john@example.com",
        "cause": "evicted",
    }


@pytest.mark.parametrize(("arguments", "prefix"), [({"prefix": "+49"}, "+49"), ({"all": True}, "")])
async def test_a_prefix_or_all_goes_to_every_partition(
    web: WebView, arguments: dict[str, object], prefix: str
) -> None:
    assert await evicted(web, **arguments) == {"success": True, "error": None}
    sent = [(r.partition, orjson.loads(r.value or b"")) for r in web.publisher.records]
    partitions = Settings().topic_partitions
    value = {"op": "evict", "prefix": prefix, "sent_to": partitions}
    assert sent == [(number, value) for number in range(partitions)]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({}, "INVALID_ARGUMENTS"),
        ({"all": False}, "INVALID_ARGUMENTS"),
        ({"identifier": "+1", "all": True}, "INVALID_ARGUMENTS"),
        ({"identifier": VISA}, "INVALID_IDENTIFIER"),
        ({"prefix": ""}, "INVALID_PREFIX"),
    ],
)
async def test_what_is_not_clear_is_refused_and_nothing_published(
    web: WebView, arguments: dict[str, object], code: str
) -> None:
    outcome = await evicted(web, **arguments)
    assert (outcome["success"], outcome["error"]["code"]) == (False, code)
    assert VISA not in outcome["error"]["message"]
    assert web.publisher.records == []


async def test_a_broker_that_does_not_acknowledge_is_no_success(web: WebView) -> None:
    web.publisher.fail()
    outcome = await evicted(web, identifier="+1")
    assert (outcome["success"], outcome["error"]["code"]) == (False, "BROKER_UNAVAILABLE")


# -- the command


def run(*arguments: str, said: str = "", port: int = 1) -> Result:
    environment = {"POSSTREAM_BROKER": f"kafka://127.0.0.1:{port}"}
    return CliRunner(env=environment).invoke(main, ["cache", "evict", *arguments], input=said)


@pytest.mark.parametrize("arguments", [[], ["+1", "--all"], ["--prefix", "+1", "--all"], [VISA]])
def test_the_command_refuses_what_is_not_clear(arguments: list[str]) -> None:
    ended = run(*arguments)
    assert ended.exit_code == 2
    assert VISA not in ended.output


def test_all_is_evicted_only_by_someone_who_is_sure() -> None:
    ended = run("--all", said="n\n")
    assert (ended.exit_code, "give --yes" in ended.output) == (1, True)


def test_the_command_says_that_no_broker_answers() -> None:
    ended = run("--all", "--yes")
    assert (ended.exit_code, "POSSTREAM_BROKER" in ended.output) == (1, True)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    yield broker
    broker.stop()


async def test_a_broker_without_the_topic_is_left_without_it(
    broker: EmbeddedBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(broker=f"kafka://{broker.address}")
    assert await evict(settings, Evict("+49151234567")) == 1
    assert "no worker ever ran" in capsys.readouterr().out
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
    await admin.start()
    try:
        assert await admin.list_topics() == []
    finally:
        await admin.close()
