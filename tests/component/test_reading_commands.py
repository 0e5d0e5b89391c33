"""Commands that read: from the database alone, masked, as JSON, and nothing is made by them."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from agents.customer_lookup.read_model.projection import SqlProjection
from posstream.cli import main
from posstream.plugins.discovery import find_plugins
from posstream.read_model.address import shown_address
from posstream.read_model.engine import create_engine
from posstream.read_model.migrate import upgrade
from tests.component.sql_databases import at, failed, found, started

MAIL = "john@example.com"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with one customer, two answers with the customer, and one without."""
    url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('read') / 'posstream.sqlite3'}"

    async def fill() -> None:
        engine = create_engine(url)
        await upgrade(engine, find_plugins())
        await SqlProjection(engine).apply(
            [started(), found("e1"), found("e2", identifier=MAIL), failed("e3")]
        )
        await engine.dispose()

    asyncio.run(fill())
    return url


def run(url: str, *arguments: str) -> Result:
    environment = {"POSSTREAM_DATABASE_URL": url, "POSSTREAM_BROKER": "kafka://127.0.0.1:1"}
    return CliRunner(env=environment).invoke(main, arguments)


def read(url: str, *arguments: str) -> Any:
    ended = run(url, *arguments, "--json")
    assert ended.exit_code == 0, ended.output
    return orjson.loads(ended.stdout)


def test_the_newest_answers_are_listed_masked_and_filtered(url: str) -> None:
    assert {it["event_id"] for it in read(url, "lookups")} == {"e1", "e2", "e3"}
    (one,) = read(url, "lookups", "--identifier", "John@Example.com", "--outcome", "found")
    assert (one["event_id"], one["customer_identifier"]) == ("e2", "jo******com")
    assert one["occurred_at"].endswith("Z")
    (failure,) = read(url, "lookups", "--outcome", "FAILED")
    assert failure["event_id"] == "e3"
    assert read(url, "lookups", "--to", at(0)) == []
    assert {it["event_id"] for it in read(url, "lookups", "--customer", "CUST_001")} == {"e1", "e2"}
    assert len(read(url, "lookups", "--terminal", "t1", "--employee", "1")) == 3
    assert read(url, "lookups", "--version", "99") == []
    assert len(read(url, "lookups", "--limit", "2")) == 2
    listed = run(url, "lookups")
    assert "jo******com" in listed.stdout
    assert MAIL not in listed.output
    assert MAIL in run(url, "lookups", "--unmasked").stdout


@pytest.mark.parametrize("who", ["CUST_001", "+1 (234) 567-890", "JOHN@example.com"])
def test_a_customer_is_found_by_id_and_by_any_identifier(url: str, who: str) -> None:
    shown = read(url, "customer", who)
    assert shown["customer_id"] == "CUST_001"
    assert {it["identifier"] for it in shown["identifiers"]} == {"jo******com", "+1******890"}
    assert {it["event_id"] for it in shown["answers"]} >= {"e1", "e2"}
    text = run(url, "customer", who)
    assert (text.exit_code, "1234567890" in text.output, MAIL in text.output) == (0, False, False)
    assert MAIL in run(url, "customer", who, "--unmasked").stdout


def test_an_unknown_customer_is_said_to_be_unknown_by_no_full_identifier(url: str) -> None:
    ended = run(url, "customer", "+49151999999")
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert "error: no customer is known by +4******999: " in ended.stderr


def test_the_figures_are_those_of_lookup_stats(url: str) -> None:
    shown = read(url, "stats", "--window", "99999d")
    assert (shown["lookups"], shown["failed"]) == (3, 1)
    assert shown["lookups"] == sum(
        shown[kind] for kind in ("fresh", "stale", "api", "unknown", "failed")
    )
    assert "lookups                     3\n" in run(url, "stats", "--window", "99999d").stdout
    refused = run(url, "stats", "--window", "soon")
    assert (refused.exit_code, "must be like 90s, 30m, 2h or 7d" in refused.stderr) == (2, True)


def test_a_dry_run_counts_what_would_be_forgotten(url: str) -> None:
    shown = read(url, "forget", "+1234567890", "--dry-run")
    assert set(shown["identifiers"]) == {"jo******com", "+1******890"}
    assert shown["rows"]["customers"] == 1
    assert "customer-identified" in {it["topic"] for it in shown["topics"]}
    told = run(url, "forget", "+1234567890", "--dry-run")
    assert (told.exit_code, "1234567890" in told.output) == (0, False)
    assert read(url, "forget", "+1234567890", "--dry-run") == shown
    refused = run(url, "forget", "+1234567890", "--json")
    assert (refused.exit_code, "give --yes or --dry-run" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["config", "show"],
        ["config", "history"],
        ["customer", "+1234567890"],
        ["explain", "basket_1"],
        ["forget", "+1234567890", "--dry-run"],
        ["fraud", "alerts"],
        ["fraud", "rules"],
        ["lookups"],
        ["stats"],
    ],
    ids=" ".join,
)
def test_a_reading_command_says_which_database_it_reads_and_makes_none(
    tmp_path: Path, arguments: list[str]
) -> None:
    path = tmp_path / "not there" / "posstream.sqlite3"
    ended = run(f"sqlite+aiosqlite:///{str(path).replace(' ', '%20')}", *arguments)
    assert (
        f"reading the database SQLite {path}, which is empty: no worker has used it yet\n"
        in ended.stderr
    )
    assert "Traceback" not in ended.output
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_there_is_not_migrated_by_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "posstream.sqlite3"
    path.touch()
    assert run(f"sqlite+aiosqlite:///{path}", "lookups").exit_code == 0
    assert path.stat().st_size == 0


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite+aiosqlite:////var/x.sqlite3", "SQLite /var/x.sqlite3"),
        ("postgresql+asyncpg://u:secret@db:5433/pos?ssl=true", "PostgreSQL db:5433/pos"),
        ("postgresql://u:secret@/pos", "PostgreSQL (local socket)/pos"),
        ("postgresql:///?service=pos&password=secret", "PostgreSQL service pos"),
    ],
)
def test_an_address_is_shown_without_user_and_password(url: str, shown: str) -> None:
    assert shown_address(url) == shown
