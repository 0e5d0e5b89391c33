"""`posstream config` as a user runs it, on a real broker and SQLite, without a worker."""

import getpass
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agents.customer_lookup.configuration import LookupConfiguration
from posstream.cli import main
from posstream.commands.config import read_assignments, read_values
from posstream.kafka.embedded_broker import EmbeddedBroker
from tests.integration.harness import free_port


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker(free_port(), log_file=tmp_path_factory.mktemp("broker") / "log")
    broker.start()
    yield broker
    broker.stop()


class Shell:
    """Runs `posstream config …` in an environment of its own."""

    def __init__(self, broker: str, datadir: Path) -> None:
        self.environment = {
            "POSSTREAM_BROKER": broker,
            "POSSTREAM_DATADIR": str(datadir),
            "POSSTREAM_DATABASE_URL": "",
        }

    def config(self, *arguments: str, charset: str = "utf-8") -> Result:
        runner = CliRunner(charset=charset, env=self.environment)
        return runner.invoke(main, ["config", *arguments])

    def version(self) -> int:
        return int(self.config("show").stdout.partition("; version ")[2].split(",")[0])


@pytest.fixture
def shell(broker: EmbeddedBroker, tmp_path: Path) -> Shell:
    """A database of its own; the topic is the module's, so versions only grow."""
    shell = Shell(broker.address, tmp_path)
    assert shell.config("set", "retry_attempts=null", "--enabled").exit_code == 0
    return shell


def row(result: Result, key: str) -> list[str]:
    (line,) = [line for line in result.stdout.splitlines() if line.startswith(f"{key} ")]
    return line.split()[1:]


def test_a_fresh_database_shows_the_defaults(tmp_path: Path) -> None:
    shown = Shell("127.0.0.1:1", tmp_path).config("show")
    assert shown.exit_code == 0, shown.output
    assert row(shown, "retry_attempts") == ["2", "2"]
    assert "version 0, never edited" in shown.stdout


def test_what_is_set_is_shown_with_its_default_and_its_editor(shell: Shell) -> None:
    before = shell.version()
    done = shell.config(
        "set", "retry_attempts=3", "api_endpoint=http://crm.test/", "--by", "anna", "--disabled"
    )
    assert done.exit_code == 0, done.output
    assert done.stdout == f"version {before + 1} is on its way to every worker\n"
    shown = shell.config("show")
    assert row(shown, "retry_attempts") == ["3", "2", "set"]
    assert row(shown, "api_endpoint")[0] == '"http://crm.test/"'
    assert row(shown, "timeout_seconds") == ["5", "5"]
    assert f"disabled; version {before + 1}, " in shown.stdout
    assert "by anna" in shown.stdout


def test_null_is_the_default_again(shell: Shell) -> None:
    shell.config("set", "retry_attempts=3")
    shell.config("set", "retry_attempts=null")
    assert row(shell.config("show"), "retry_attempts") == ["2", "2"]


def test_the_editor_is_the_user_unless_named(shell: Shell) -> None:
    shell.config("set", "retry_attempts=3")
    assert f"by {getpass.getuser()}" in shell.config("show").stdout


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["retry_attempts=99"], "retry_attempts: must be a whole number from 1 to 10"),
        (["retry_attempts=many"], "retry_attempts: must be"),
        (["no_such_key=1"], "no_such_key: is not a key of this configuration"),
        (["retry_attempts=3", "--expect-version", "100000"], "somebody else was faster"),
        (["retry_attempts=3", "--by", "a\nb"], "updated_by: must be"),
    ],
)
def test_a_refused_edit_is_one_line_and_exit_code_1(
    shell: Shell, arguments: list[str], named: str
) -> None:
    before = shell.version()
    refused = shell.config("set", *arguments)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith(f"error: {named}")
    assert refused.stderr.count("\n") == 1
    assert shell.version() == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["set"],
        ["set", "retry_attempts"],
        ["set", "=3"],
        ["set", "retry_attempts=3", "retry_attempts=4"],
        ["set", "--expect-version", "x", "retry_attempts=3"],
        ["rollback", "-1"],
        ["rollback", "x"],
        ["history", "--limit", "0"],
    ],
)
def test_wrong_usage_is_exit_code_2(tmp_path: Path, arguments: list[str]) -> None:
    assert Shell("127.0.0.1:1", tmp_path).config(*arguments).exit_code == 2


def test_a_rollback_restores_the_version_before_and_the_history_tells_all(shell: Shell) -> None:
    before = shell.version()
    shell.config("set", "retry_attempts=3", "--by", "anna")
    shell.config("set", "retry_attempts=4", "--by", "ben", "--description", "slow CRM")
    done = shell.config("rollback", "--by", "carla")
    assert done.exit_code == 0, done.output
    assert row(shell.config("show"), "retry_attempts")[0] == "3"
    told = shell.config("history", "--limit", "3").stdout.splitlines()[1:]
    assert [line.split()[0] for line in told] == [f"{before + n}" for n in (3, 2, 1)]
    assert [line.split()[2] for line in told] == ["carla", "ben", "anna"]
    assert "retry_attempts: 4 -> 3" in told[0]
    assert told[0].endswith(f"rollback to version {before + 1}")
    assert "retry_attempts: 3 -> 4" in told[1]
    assert told[1].endswith("slow CRM")
    assert "retry_attempts: default -> 3" in told[2]


def test_an_ascii_terminal_shows_the_history_of_people_with_other_letters(shell: Shell) -> None:
    done = shell.config("set", "retry_attempts=3", "--by", "Jürgen", charset="ascii")
    assert done.exit_code == 0, done.output
    assert " J?rgen " in shell.config("history", charset="ascii").stdout
    assert "by J?rgen" in shell.config("show", charset="ascii").stdout
    assert " Jürgen " in shell.config("history").stdout


def test_a_rollback_to_a_version_that_never_was_is_refused(shell: Shell) -> None:
    refused = shell.config("rollback", "100000")
    assert refused.exit_code == 1
    assert refused.stderr == "error: there is no version 100000 to roll back to\n"


def test_another_database_goes_on_from_the_topic(shell: Shell, tmp_path: Path) -> None:
    shell.config("set", "timeout_seconds=1.5")
    before = shell.version()
    other = Shell(shell.environment["POSSTREAM_BROKER"], tmp_path / "other")
    assert other.config("set", "retry_attempts=5").exit_code == 0
    assert other.version() == before + 1
    assert row(other.config("show"), "timeout_seconds") == ["1.5", "5", "set"]
    other.config("set", "timeout_seconds=null")


def test_without_a_broker_nothing_is_changed_and_one_line_says_so(tmp_path: Path) -> None:
    shell = Shell(f"127.0.0.1:{free_port()}", tmp_path)
    refused = shell.config("set", "retry_attempts=3")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("error: no Kafka broker answers at 127.0.0.1:")
    assert shell.config("history").stdout == "never edited: everything is at its default\n"


def test_without_a_database_one_line_says_so_and_not_the_password(tmp_path: Path) -> None:
    shell = Shell("127.0.0.1:1", tmp_path)
    url = f"postgresql+asyncpg://user:secret-word@127.0.0.1:{free_port()}/x"
    shell.environment["POSSTREAM_DATABASE_URL"] = url
    refused = shell.config("show")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("error: the database cannot be used (")
    assert "secret-word" not in refused.output


def test_the_digits_of_a_country_code_are_text() -> None:
    texts = read_assignments(["default_country_code=49", "retry_attempts=3"])
    assert read_values(texts, LookupConfiguration) == {
        "default_country_code": "49",
        "retry_attempts": 3,
    }
    null = read_values({"default_country_code": "null"}, LookupConfiguration)
    assert null == {"default_country_code": None}


def test_a_plugin_may_be_named_before_the_command(shell: Shell) -> None:
    named = shell.config("customer_lookup", "set", "retry_attempts=7")
    assert named.exit_code == 0, named.output
    assert row(shell.config("customer_lookup", "show"), "retry_attempts") == ["7", "2", "set"]
    assert shell.config("customer_lookup", "show").stdout == shell.config("show").stdout
    assert shell.config("customer_lookup", "rollback").exit_code == 0


def test_a_plugin_that_there_is_not_is_told_which_ones_there_are(shell: Shell) -> None:
    for command in (["show"], ["set", "a=1"], ["history"], ["rollback"]):
        refused = shell.config("nobody", *command)
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert "error: there is no plugin nobody with a configuration" in refused.stderr
        assert "customer_lookup" in refused.stderr


@pytest.mark.parametrize("arguments", [["customer_lookup"], ["customer_lookup", "drop"], ["drop"]])
def test_a_plugin_without_a_known_command_is_wrong_usage(
    tmp_path: Path, arguments: list[str]
) -> None:
    assert Shell("127.0.0.1:1", tmp_path).config(*arguments).exit_code == 2
