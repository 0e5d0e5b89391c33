"""The mutation `forgetCustomer`, `posstream forget` and their use case, short of a worker."""

import dataclasses
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from agents.customer_lookup.cache_commands import Forget, ForgetCustomer
from agents.customer_lookup.events.commands import read_cache_command
from agents.customer_lookup.topics import HOLDING_CUSTOMERS
from posstream.cli import main
from posstream.commands.forget import forget
from posstream.domain.errors import PublishFailed
from posstream.domain.identifier import Identifier, IdentifierKind
from posstream.forgetting.forgetting import ForgetReport, Unconfirmed
from posstream.forgetting.marks import Trail
from posstream.forgetting.part import ForgettingPart
from posstream.kafka.embedded_broker import EmbeddedBroker
from posstream.kafka.record import Record
from posstream.kafka.topics import CUSTOMER_FORGOTTEN
from posstream.plugin import Plugin
from posstream.settings import Settings
from tests.component.fakes import NOW_MS, FakeErasure, FakePublisher
from tests.component.other_plugin import other_plugin
from tests.component.web_client import WebView, running_web
from tests.integration.harness import free_port

FORGET = """
mutation ($identifier: String!) { forgetCustomer(identifier: $identifier) {
  success error { code message }
  report {
    forgottenAt forgottenIdentifiers cacheEntries newerRows
    rows { table rows } topics { topic until }
  }
} }"""
VISA = "4111 1111 1111 1111"
JOHN = Trail(("+1234567890", "john@example.com"), ("CUST_001",))


@pytest.fixture
async def web() -> AsyncIterator[WebView]:
    async with running_web() as view:
        view.erasure.known = JOHN
        view.erasure.found = {"customers": 1, "baskets": 3}
        yield view


async def forgotten(web: WebView, identifier: str) -> dict[str, Any]:
    answer = await web.graphql(FORGET, identifier=identifier)
    outcome: dict[str, Any] = answer["data"]["forgetCustomer"]
    return outcome


async def test_a_customer_is_forgotten_by_any_spelling_and_the_report_names_nobody(
    web: WebView,
) -> None:
    outcome = await forgotten(web, " JOHN@Example.com")
    assert (outcome["success"], outcome["error"]) == (True, None)
    report = outcome["report"]
    assert report["forgottenAt"] == "2026-01-31T08:00:00.000Z"
    assert (report["forgottenIdentifiers"], report["newerRows"]) == (2, 0)
    assert report["rows"] == [{"table": "customers", "rows": 1}, {"table": "baskets", "rows": 3}]
    assert {"topic": "customer-identified", "until": "2026-02-07T08:00:00.000Z"} in report["topics"]
    assert "john" not in str(outcome).lower()


async def test_a_payment_card_is_refused_and_nothing_published(web: WebView) -> None:
    outcome = await forgotten(web, VISA)
    assert (outcome["success"], outcome["error"]["code"]) == (False, "INVALID_IDENTIFIER")
    assert VISA not in outcome["error"]["message"]
    assert web.publisher.records == []


async def test_a_broker_that_does_not_acknowledge_is_no_success(web: WebView) -> None:
    web.publisher.fail()
    outcome = await forgotten(web, "+1234567890")
    assert (outcome["success"], outcome["error"]["code"]) == (False, "BROKER_UNAVAILABLE")


# -- the use case


class Desk:
    """The use case on fakes."""

    def __init__(self) -> None:
        self.publisher = FakePublisher()
        self.erasure = FakeErasure(self.publisher, known=JOHN)
        self.forgetting = self.erasure.forgetting()

    async def forget(
        self, identifier: str, patience_seconds: float = 5
    ) -> ForgetReport | Unconfirmed:
        return await self.forgetting.forget(identifier, patience_seconds=patience_seconds)

    @property
    def commands(self) -> list[object]:
        return [read_cache_command(record.value) for record in self.publisher.records]


async def test_the_customer_goes_with_the_last_command_the_one_for_what_was_asked() -> None:
    desk = Desk()
    await desk.forget("+1234567890")
    assert desk.commands == [
        Forget("john@example.com"),
        Forget("+1234567890", ("CUST_001",)),
    ]
    assert [record.key for record in desk.publisher.records] == [
        b"john@example.com",
        b"+1234567890",
    ]


async def test_a_customer_without_identifiers_is_forgotten_by_a_command_of_their_own() -> None:
    desk = Desk()
    outcome = await desk.forgetting.forget_customer("CUST_002", patience_seconds=5)
    assert isinstance(outcome, ForgetReport)
    assert outcome.identifiers == 0
    assert desk.commands == [ForgetCustomer("CUST_002")]


async def test_a_customer_is_forgotten_with_their_identifiers() -> None:
    desk = Desk()
    await desk.forgetting.forget_customer("CUST_001", patience_seconds=5)
    assert desk.commands == [Forget("+1234567890"), Forget("john@example.com", ("CUST_001",))]


async def test_whoever_was_forgotten_before_is_forgotten_later_than_that() -> None:
    desk = Desk()
    await desk.forget("+1234567890")
    desk.publisher.records[:-1] = []  # there are marks from the beginning now
    assert isinstance(await desk.forget("+1234567890", 0), Unconfirmed)
    assert desk.commands[-1] == Forget("+1234567890", ("CUST_001",), NOW_MS)


async def test_without_a_worker_it_says_that_it_is_not_confirmed() -> None:
    desk = Desk()
    desk.erasure.confirms = False
    outcome = await desk.forget("+1234567890", 0)
    assert isinstance(outcome, Unconfirmed)
    assert "no worker confirmed it within 0 s" in outcome.why


async def test_a_command_that_is_not_acknowledged_leaves_the_customer_to_be_asked_for_again() -> (
    None
):
    desk = Desk()
    published: list[Record] = []

    async def publish(record: Record) -> None:
        if published:
            raise PublishFailed("no broker")
        published.append(record)

    forgetting = desk.erasure.forgetting(publish=publish)
    with pytest.raises(PublishFailed):
        await forgetting.forget("+1234567890", patience_seconds=5)
    sent = [read_cache_command(record.value) for record in published]
    assert sent == [Forget("john@example.com")]


# -- several plugins


async def fails(*_: object) -> Any:
    raise ValueError("+1234567890")


async def points_of(_: object, identifier: str) -> Trail:
    return Trail((identifier,), ("LOYAL_7",))


async def counted(_: object, __: Trail) -> dict[str, int]:
    return {"points": 0}


def loyalty(**changes: Any) -> Plugin:
    part = {"trail": points_of, "trail_of_customer": points_of, "rows": counted, "export": counted}
    return other_plugin(forgetting=ForgettingPart(**(part | changes)))


async def test_what_any_plugin_knows_a_customer_by_is_forgotten() -> None:
    desk = Desk()
    desk.forgetting = desk.erasure.forgetting(loyalty(holding=other_plugin().topics))
    report = await desk.forget("+1234567890")
    assert isinstance(report, ForgetReport)
    assert desk.commands[-1] == Forget("+1234567890", ("CUST_001", "LOYAL_7"))
    assert "points" in report.rows
    assert "pos-events" in {it.topic for it in report.topics}


async def test_a_plugin_that_fails_is_named_and_the_others_forget() -> None:
    desk = Desk()
    desk.forgetting = desk.erasure.forgetting(loyalty(trail=fails))
    report = await desk.forget("+1234567890")
    assert isinstance(report, ForgetReport)
    assert (report.identifiers, report.failed) == (2, {"baskets": "ValueError"})
    assert report.trouble == ("not confirmed for these plugins: baskets (ValueError)")


async def test_a_plugin_whose_migration_failed_is_named_for_it_keeps_its_rows() -> None:
    desk = Desk()
    forgetting = desk.erasure.forgetting(loyalty())

    async def behind(*_: object) -> list[str]:
        return ["baskets"]

    desk.forgetting = dataclasses.replace(forgetting, unmigrated=behind)
    report = await desk.forget("+1234567890")
    assert isinstance(report, ForgetReport)
    assert report.failed == {"baskets": "its migration failed; the next one deletes its rows"}


async def test_a_plugin_that_is_alone_and_fails_raises_its_own_error() -> None:
    desk = Desk()
    forgetting = desk.erasure.forgetting()
    forgetting.plugins = (loyalty(trail=fails),)
    with pytest.raises(ValueError, match="1234567890"):
        await forgetting.forget("+1234567890", patience_seconds=5)


async def test_where_no_plugin_has_commands_the_marks_are_written_at_once() -> None:
    desk = Desk()
    desk.forgetting.plugins = (loyalty(),)
    await desk.forget("+1234567890")
    marks = [orjson.loads(record.value or b"") for record in desk.publisher.records]
    assert {record.topic for record in desk.publisher.records} == {CUSTOMER_FORGOTTEN}
    assert {it["subject"] for it in marks} == Trail(("+1234567890",), ("LOYAL_7",)).subjects
    assert {it["forgotten_at"] for it in marks} == {"2026-01-31T08:00:00.000Z"}


def test_every_topic_that_holds_customers_ends_some_day() -> None:
    assert [spec.name for spec in HOLDING_CUSTOMERS if spec.retention_ms <= 0] == []


# -- the command


def run(*arguments: str, port: int = 1) -> Result:
    environment = {"POSSTREAM_BROKER": f"kafka://127.0.0.1:{port}"}
    return CliRunner(env=environment).invoke(main, ["forget", *arguments])


def test_the_command_refuses_a_payment_card() -> None:
    ended = run(VISA)
    assert ended.exit_code == 2
    assert VISA not in ended.output


def test_the_command_says_that_no_broker_answers() -> None:
    ended = run("+1234567890")
    assert (ended.exit_code, "POSSTREAM_BROKER" in ended.output) == (1, True)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    yield broker
    broker.stop()


async def test_a_broker_that_no_worker_ever_used_has_nothing_to_forget(
    broker: EmbeddedBroker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(broker=f"kafka://{broker.address}", datadir=tmp_path)
    who = Identifier("+49151234567", IdentifierKind.PHONE)
    assert await forget(settings, who, 1, yes=True) == 1
    assert "no worker of this version ever ran" in capsys.readouterr().out
