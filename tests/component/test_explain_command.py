"""`posstream explain` as a user runs it: from the database alone, without a broker."""

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agents.customer_lookup.read_model.projection import SqlProjection
from posstream.cli import main
from posstream.plugins.discovery import find_plugins
from posstream.read_model.engine import create_engine
from posstream.read_model.migrate import upgrade
from tests.component.sql_databases import at, found, logged, started


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database with one basket in it."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'posstream.sqlite3'}"

    async def fill() -> None:
        engine = create_engine(url)
        await upgrade(engine, find_plugins())
        await SqlProjection(engine).apply(
            [
                started("basket_1"),
                logged("try1", lookup_id="lookup-a1", error_message="odd \x1b[2J in Zürich"),
                found("a1", fetched=10),
            ]
        )
        await engine.dispose()

    asyncio.run(fill())
    return url


def explain(url: str, basket: str, charset: str = "utf-8") -> Result:
    environment = {"POSSTREAM_DATABASE_URL": url, "POSSTREAM_BROKER": "kafka://127.0.0.1:1"}
    return CliRunner(charset=charset, env=environment).invoke(main, ["explain", basket])


def test_the_timeline_is_printed_with_a_time_for_each_step(url: str) -> None:
    ended = explain(url, "basket_1")
    assert ended.exit_code == 0, ended.output
    lines = ended.stdout.splitlines()
    # 12 ms before the answer
    taken = at(10).replace(".000Z", ".988Z")
    assert [line for line in lines if not line.startswith(" ")] == [
        f"{at(5)}  The basket was started",
        f"{at(10)}  A customer was identified",
        f"{taken}  Read as a phone number",
        f"{taken}  Nothing fresh in the cache",
        f"{at(10)}  Attempt 1: SUCCESS",
        f"{at(11)}  Answered by the directory",
        f"{at(10)}  The basket has its customer in SQL",
    ]
    assert "                            duration: 9 ms" in lines


def test_neither_an_identifier_nor_a_control_character_is_printed(url: str) -> None:
    ended = explain(url, "basket_1")
    assert "1234567890" not in ended.output
    assert "\x1b" not in ended.output
    assert "odd \\x1b[2J" in ended.stdout


def test_an_ascii_terminal_gets_a_replacement_for_what_it_cannot_show(url: str) -> None:
    ended = explain(url, "basket_1", charset="ascii")
    assert ended.exit_code == 0, ended.output
    assert "odd \\x1b[2J in Z?rich" in ended.stdout


def test_an_argument_that_python_could_not_decode_is_utf_8(url: str) -> None:
    ended = explain(url, "b\udcc3\udca4sket")  # as Python has it on a terminal for ASCII
    assert "\nerror: nothing is known of basket bäsket: " in ended.stderr


def test_an_argument_that_is_no_utf_8_has_a_replacement(url: str) -> None:
    ended = explain(url, "b\udcffsket")
    assert "\nerror: nothing is known of basket b\ufffdsket: " in ended.stderr


def test_a_basket_that_nobody_saw_is_said_to_be_unknown(url: str) -> None:
    ended = explain(url, "basket_9\x1b")
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert ended.stderr.partition("\n")[2] == (
        "error: nothing is known of basket basket_9\\x1b: it was never seen, or the read model "
        "is behind the topics\n"
    )


def test_without_a_database_the_setting_to_check_is_named(tmp_path: Path) -> None:
    ended = explain("postgresql+asyncpg://127.0.0.1:1/posstream", "basket_1")
    assert ended.exit_code == 1
    assert "POSSTREAM_DATABASE_URL" in ended.stderr
