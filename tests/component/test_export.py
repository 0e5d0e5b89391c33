"""`posstream export`: what every plugin knows of one customer, from the database alone."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from agents.customer_lookup import PLUGIN
from agents.customer_lookup.read_model.projection import SqlProjection
from posstream.cli import main
from posstream.commands.export import export
from posstream.domain.identifier import Identifier, IdentifierKind
from posstream.forgetting.marks import Trail
from posstream.forgetting.part import ForgettingPart
from posstream.plugin import Plugin
from posstream.plugins.discovery import find_plugins
from posstream.read_model.engine import create_engine
from posstream.read_model.migrate import upgrade
from posstream.settings import Settings
from tests.component.other_plugin import other_plugin
from tests.component.sql_databases import failed, found, logged, started

PHONE, MAIL = "+1234567890", "john@example.com"
VISA = "4111111111111111"


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'posstream.db'}"


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """A database with one known customer."""
    engine = create_engine(url_of(tmp_path))
    await upgrade(engine, find_plugins())
    await SqlProjection(engine).apply(
        [started(), found("e1"), found("e2", identifier=MAIL), failed("e3"), logged("l1")]
    )
    await engine.dispose()
    return tmp_path


def run(folder: Path, identifier: str) -> Result:
    environment = {
        "POSSTREAM_DATABASE_URL": url_of(folder),
        "POSSTREAM_PLUGINS": "customer_lookup",
    }
    return CliRunner(env=environment).invoke(main, ["export", identifier])


def test_all_rows_of_a_customer_come_as_one_document(folder: Path) -> None:
    ended = run(folder, "+1 (234) 567-890")
    assert ended.exit_code == 0
    assert ended.stderr == f"reading the database SQLite {folder / 'posstream.db'}\n"
    document = orjson.loads(ended.stdout)
    assert document["identifiers"] == [MAIL, PHONE]
    assert document["customer_ids"] == ["CUST_001"]
    known = document["plugins"]["customer_lookup"]
    assert {it["customer_id"] for it in known["customers"]} == {"CUST_001"}
    assert {it["identifier"] for it in known["customer_identifiers"]} == {PHONE, MAIL}
    assert not any("answer_digest" in it for it in known["customer_identifiers"])
    assert {it["event_id"] for it in known["lookup_answers"]} >= {"e1", "e2"}
    assert [it["event_id"] for it in known["customer_lookup_logs"]] == ["l1"]
    assert len(known["baskets"]) == 1


def test_nobody_is_known_by_an_unknown_identifier(folder: Path) -> None:
    ended = run(folder, "+49151999999")
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert "nothing is known of" in ended.stderr
    assert "+49151999999" not in ended.stderr


def test_a_payment_card_is_refused(folder: Path) -> None:
    ended = run(folder, VISA)
    assert ended.exit_code == 2
    assert VISA not in ended.output


# -- two plugins


async def trail(_: Any, identifier: str) -> Trail:
    return Trail((identifier,), ("CUST_001",))


async def rows(_: Any, __: Trail) -> dict[str, int]:
    return {"basket_lines": 1}


async def purchases(_: Any, trail: Trail) -> dict[str, Any]:
    return {"paid_with": VISA, VISA: [1], "of": list(trail.customer_ids)}


async def fails(_: Any, trail: Trail) -> dict[str, Any]:
    raise ValueError(trail.identifiers[0])


def plugin_with(said: Any, kept: Any = None) -> Plugin:
    return other_plugin(
        forgetting=ForgettingPart(
            trail=trail, trail_of_customer=trail, rows=rows, export=said, kept=kept
        )
    )


async def exported(
    folder: Path, capsys: pytest.CaptureFixture[str], *plugins: Plugin
) -> tuple[int, Any, str]:
    settings = Settings(explicit_database_url=url_of(folder), datadir=folder)
    code = await export(settings, Identifier(PHONE, IdentifierKind.PHONE), plugins)
    out, err = capsys.readouterr()
    return code, orjson.loads(out), err.partition("\n")[2]  # after the name of the database


async def test_each_plugin_has_a_part_and_payment_cards_are_masked(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, document, _ = await exported(folder, capsys, PLUGIN, plugin_with(purchases))
    assert code == 0
    masked = "411111******1111"
    assert document["plugins"]["baskets"] == {
        "paid_with": masked,
        masked: [1],
        "of": ["CUST_001"],
    }
    assert document["plugins"]["customer_lookup"]["customers"] != []


async def test_a_plugin_that_fails_is_named_and_hides_no_other_part(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, document, errors = await exported(folder, capsys, plugin_with(fails), PLUGIN)
    assert code == 1
    assert list(document["plugins"]) == ["customer_lookup"]
    assert errors == "error: the plugin baskets failed (ValueError); its part is missing\n"


async def seen(brokers: Any, trail: Trail) -> dict[str, Any]:
    return {"seen": [list(brokers), *trail.customer_ids]}


async def test_what_only_a_table_knows_is_in_the_part_of_its_plugin(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, document, errors = await exported(folder, capsys, PLUGIN, plugin_with(purchases, seen))
    assert (code, errors) == (0, "")
    part = document["plugins"]["baskets"]
    assert part["of"] == ["CUST_001"]
    assert part["seen"] == [Settings().bootstrap_servers, "CUST_001"]


async def test_a_table_that_cannot_be_read_is_told_and_hides_no_rows(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugins = PLUGIN, plugin_with(purchases, fails)
    code, document, errors = await exported(folder, capsys, *plugins)
    assert code == 1
    assert document["plugins"]["baskets"]["of"] == ["CUST_001"]
    assert errors == "error: the plugin baskets failed (ValueError); its part is not whole\n"
