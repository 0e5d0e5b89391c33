"""`posstream fraud` as a user runs it: from the database alone, and previews by a worker."""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from click.testing import CliRunner, Result

from agents.fraud_detection import PLUGIN
from agents.fraud_detection.commands.preview import print_preview
from agents.fraud_detection.configuration import FraudConfiguration
from agents.fraud_detection.events.outputs import FraudAlertRaised
from agents.fraud_detection.preview import Previewed, PreviewRefused
from agents.fraud_detection.read_model.projection import FraudProjection
from agents.fraud_detection.rules.shipped import SHIPPED
from posstream.cli import main
from posstream.configuration.editing import Note
from posstream.configuration.store import SqlConfigurationStore
from posstream.domain.errors import WorkerUnreachable
from posstream.domain.times import iso_utc_ms
from posstream.read_model.engine import create_engine
from posstream.read_model.migrate import upgrade
from posstream.resilience.clock import Clock
from posstream.settings import Settings
from tests.component.configuration_fakes import FakeTopic, live_configuration_of
from tests.component.fraud_alerts import (
    MORNING,
    PHONE,
    alert,
    at,
    judged,
    observed,
    raised,
    reading,
)
from tests.component.fraud_web import running_fraud_web

MAIL = "jane@example.com"
RULE = msgspec.to_builtins(next(it for it in SHIPPED if it.id == "payment_velocity"))
LOOKS_FOR = "3 or more PAYMENT_COMPLETED of one customer within 300 s"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database with alerts, and a configuration with two rules of which one is paused."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'posstream.sqlite3'}"
    now = (Clock().now_ms() - MORNING) // 1000
    rules = [RULE, RULE | {"id": "odd", "state": "PAUSED", "severity": "LOW"}]

    async def fill() -> None:
        engine = create_engine(url)
        assert await upgrade(engine, [PLUGIN]) == {}
        await FraudProjection(engine).apply(
            [
                raised("a1", 10, hits=3),
                raised("a2", now - 60, severity="HIGH"),
                raised("a3", now - 50, rule_state="SHADOW", snoozed=True, complete_from=at(5)),
                raised(
                    "a4",
                    20,
                    group={"customer_id": MAIL, "terminal_id": "t\x1b[2J1"},
                    customer_id=MAIL,
                    observations=[observed(20, customer_identifier=PHONE)],
                ),
                judged("CONFIRMED"),
                judged("CONFIRMED", alert_id="a2"),
                judged("FALSE_POSITIVE", alert_id="a3"),
                reading(40),
            ]
        )
        live = live_configuration_of(
            PLUGIN.name,
            FraudConfiguration(),
            SqlConfigurationStore(engine, PLUGIN.name),
            FakeTopic(),
        )
        await live.edit({"rules": rules}, note=Note(by="olga"))
        await engine.dispose()

    asyncio.run(fill())
    return url


def fraud(url: str, *arguments: str, given: str | None = None) -> Result:
    environment = {"POSSTREAM_DATABASE_URL": url, "POSSTREAM_BROKER": "kafka://127.0.0.1:1"}
    return CliRunner(env=environment).invoke(main, ["fraud", *arguments], input=given)


def printed(url: str, *arguments: str) -> Any:
    ended = fraud(url, *arguments, "--json")
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


def test_each_rule_of_the_configuration_is_a_line_with_its_figures(url: str) -> None:
    ended = fraud(url, "rules")
    assert ended.exit_code == 0, ended.output
    head, *lines = (line.split("  ") for line in ended.stdout.splitlines())
    assert [it.strip() for it in head if it] == [
        "RULE",
        "STATE",
        "SEVERITY",
        "WINDOW",
        "ALERTS IN 24 H",
        "SHADOW",
        "PRECISION",
        "LOOKS FOR",
    ]
    assert [[it.strip() for it in line if it.strip()] for line in lines] == [
        [
            "payment_velocity",
            "ACTIVE, WARMING 40%",
            RULE["severity"],
            "300 s",
            "1",
            "1",
            "67% of 3",
            LOOKS_FOR,
        ],
        ["odd", "PAUSED", "LOW", "300 s", "0", "0", "-", LOOKS_FOR],
    ]


def test_rules_as_json_have_the_whole_rule(url: str) -> None:
    first, second = printed(url, "rules")
    assert first.pop("precision") == pytest.approx(2 / 3)
    assert first == {
        "rule": RULE,
        "warming": 40,
        "alerts_in_day": 1,
        "shadow_alerts_in_day": 1,
        "confirmed": 2,
        "false_positives": 1,
    }
    assert (second["rule"]["id"], second["precision"], second["warming"]) == ("odd", None, None)


def test_alerts_are_lines_newest_first_and_name_no_customer_by_a_phone_or_mail(url: str) -> None:
    ended = fraud(url, "alerts")
    assert ended.exit_code == 0, ended.output
    lines = ended.stdout.splitlines()
    assert [line.split()[0] for line in lines[-2:]] == [
        "2026-01-31T08:00:20.000Z",
        "2026-01-31T08:00:10.000Z",
    ]
    assert lines[1].endswith("FALSE_POSITIVE  shadow, snoozed, warming")
    assert lines[-1].split()[1:] == [
        *("MEDIUM", "payment_velocity", "customer_id=CUST_001", "3", ">=", "3", "3", "CONFIRMED"),
    ]
    assert MAIL not in ended.stdout
    assert "\x1b" not in ended.stdout


def test_alerts_as_json_are_whole_and_masked(url: str) -> None:
    found = printed(url, "alerts", "--to", "2026-01-31T09:00:00Z")
    assert [it["alert_id"] for it in found] == ["a4", "a1"]
    assert found[1] == alert("a1") | {
        "rule_state": "ACTIVE",
        "snoozed": False,
        "hits": 3,
        "last_hit_at": "2026-01-31T08:00:12.000Z",
        "status": "CONFIRMED",
        "note": "John said so",
        "author": "olga",
        "judged_at": "2026-01-31T08:00:50.000Z",
    } | {"observations": found[1]["observations"]}
    assert MAIL not in json.dumps(found)
    assert PHONE not in json.dumps(found)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--severity", "high"], ["a2"]),
        (["--status", "open"], ["a4"]),
        (["--customer", MAIL], ["a4"]),
        (["--limit", "1"], ["a3"]),
        (["--rule", "nothing"], []),
        (
            ["--terminal", "t1", "--employee", "7", "--basket", "b1", "--status", "CONFIRMED"],
            ["a2", "a1"],
        ),
    ],
)
def test_alerts_are_chosen_by_options(url: str, arguments: list[str], expected: list[str]) -> None:
    assert [it["alert_id"] for it in printed(url, "alerts", *arguments)] == expected


def test_no_alert_is_said_in_words(url: str) -> None:
    assert fraud(url, "alerts", "--rule", "nothing").stdout == "no alert matches\n"


@pytest.mark.parametrize(
    "arguments",
    [("alerts", "--from", "noon"), ("alerts", "--severity", "odd"), ("preview", "/no/such/file")],
)
def test_wrong_usage_ends_with_2(url: str, arguments: tuple[str, ...]) -> None:
    assert fraud(url, *arguments).exit_code == 2


# -- previews


@pytest.mark.parametrize("given", ["[]", "no json", ""])
def test_a_file_without_a_rule_is_refused(url: str, given: str) -> None:
    ended = fraud(url, "preview", "-", given=given)
    assert (ended.exit_code, ended.stderr) == (2, "error: FILE must hold one rule as JSON\n")


def test_without_a_worker_a_preview_ends_with_1(url: str) -> None:
    environment = {"POSSTREAM_WEB_PORT": "1", "POSSTREAM_DATABASE_URL": url}
    ended = CliRunner(env=environment).invoke(
        main, ["fraud", "preview", "-"], input=json.dumps(RULE)
    )
    assert ended.exit_code == 1
    assert "no worker answers at" in ended.stderr


async def test_a_preview_is_a_sentence_and_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running_fraud_web(tmp_path) as web:
        server = web.view.web.client.server
        settings = Settings(web_host=server.host, web_port=server.port)
        web.preview.answer = Previewed(12, [msgspec.convert(alert(), FraudAlertRaised)])
        assert await print_preview(settings, RULE, 24, as_json=False) == 0
        first, _, line = capsys.readouterr().out.splitlines()
        assert first == "would have fired 12 times in 24 h: the newest 1"
        assert line.split() == [
            iso_utc_ms(MORNING + 10_000),
            *("customer_id=CUST_001", "3", ">=", "3", "3"),
        ]
        assert await print_preview(settings, RULE, 24, as_json=True) == 0
        document = orjson.loads(capsys.readouterr().out)
        assert (document["count"], document["alerts"][0]["group"]) == (
            12,
            {"customer_id": "CUST_001"},
        )
        web.preview.answer = PreviewRefused("TOO_EXPENSIVE", "ask for fewer hours")
        assert await print_preview(settings, RULE, 24, as_json=False) == 1
        assert capsys.readouterr().err == "error: ask for fewer hours\n"
        odd = RULE | {"window_seconds": 0}
        assert await print_preview(settings, odd, 24, as_json=False) == 1
        assert "window_seconds: must be " in capsys.readouterr().err
        web.view.web.fails(PLUGIN.name, "its code is broken")
        with pytest.raises(WorkerUnreachable, match="fraud_detection"):
            await print_preview(settings, RULE, 24, as_json=False)
