"""The group `posstream`: the platform's commands beside those of plugins, whatever these do."""

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from posstream.cli import Commands, main
from posstream.plugin import Built, Kit, Plugin
from posstream.plugins.found import Plugins


def build(_: Kit) -> Built:
    return Built()


@click.command("greet")
def greet() -> None:
    """Say hello."""
    click.echo("hello")


def broken() -> Sequence[click.Command]:
    raise ImportError("No module named 'needed'")


PLUGINS = Plugins(
    (
        Plugin(name="broken", description="Fails.", build=build, commands=broken),
        Plugin(name="silent", description="Has no commands.", build=build),
        Plugin(name="polite", description="Greets.", build=build, commands=lambda: [greet]),
    ),
    {"absent": SyntaxError("invalid")},
)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(Commands("posstream", find=lambda: PLUGINS), arguments)


def test_a_command_of_a_plugin_is_listed_and_run() -> None:
    assert re.search(r"^  greet +Say hello\.$", invoke("--help").stdout, flags=re.MULTILINE)
    assert invoke("greet").stdout == "hello\n"


def test_a_plugin_whose_commands_cannot_be_imported_takes_nobody_s_away() -> None:
    listed = invoke("--help")
    assert listed.exit_code == 0
    assert [name for name in ("check", "dev", "greet") if f"  {name}" not in listed.stdout] == []
    assert listed.stderr.splitlines() == [
        "warning: no commands of plugin absent: SyntaxError('invalid')",
        "warning: no commands of plugin broken: ImportError(\"No module named 'needed'\")",
    ]


@pytest.mark.parametrize(
    ("plugins", "claimed"),
    [
        (("a", "b"), "the command greet is claimed by a and by b"),
        (("check",), "the command check is claimed by posstream itself and by check"),
    ],
)
def test_a_command_that_is_claimed_twice_is_refused_with_both_named(
    plugins: Sequence[str], claimed: str
) -> None:
    check = click.Command("check")
    found = Plugins(
        tuple(
            Plugin(
                name=name,
                description="Claims.",
                build=build,
                commands=lambda name=name: [check if name == "check" else greet],
            )
            for name in plugins
        )
    )
    shown = CliRunner().invoke(Commands("posstream", find=lambda: found), ["greet"])
    assert (shown.exit_code, shown.output) == (
        1,
        f"error: {claimed}: leave one of them out with POSSTREAM_PLUGINS\n",
    )


def test_a_command_of_the_platform_asks_no_plugin() -> None:
    shown = invoke("check", "--help")
    assert (shown.exit_code, shown.stderr) == (0, "")


def commands(command: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, *path, name)


def test_every_command_explains_itself_at_h() -> None:
    every = [path for path, _ in commands(main)]
    assert {("dlq", "replay"), ("fraud", "alerts"), ("lookups",)} <= set(every)
    for path in every:
        shown = CliRunner().invoke(main, [*path, "-h"])
        assert (shown.exit_code, shown.stdout[:6]) == (0, "Usage:"), path


def test_the_reference_has_every_command_with_its_options() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/commands.md").read_text()
    for path, command in commands(main):
        if isinstance(command, click.Group):
            continue
        spelt = " ".join(path).replace("config ", "config [PLUGIN] ")
        row = re.search(rf"^\| `posstream {re.escape(spelt)}[ `].*", page, flags=re.MULTILINE)
        assert row is not None, spelt
        options = [it.opts[-1] for it in command.params if isinstance(it, click.Option)]
        assert [it for it in options if f"`{it}`" not in row[0]] == [], spelt


def test_the_lines_for_completion_make_a_script_for_each_shell() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/commands.md").read_text()
    shells = re.findall(r"_POSSTREAM_COMPLETE=(\w+)_source posstream", page)
    assert shells == ["bash", "zsh", "fish"]
    for shell in shells:
        asked = {"_POSSTREAM_COMPLETE": f"{shell}_source"}
        script = CliRunner(env=asked).invoke(main, prog_name="posstream")
        assert "posstream" in script.stdout, shell


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["chekc"], "did you mean check?"),
        (["dlq", "lst"], "did you mean list?"),
        (["config", "shwo"], "did you mean show?"),
        (["config", "sett", "retry_attempts=3"], "did you mean set?"),
        (["config", "customer_lookup", "hsitory"], "did you mean history?"),
        (["lookups", "--limt", "3"], "--limit"),
        (["nothing-like-it"], "No such command 'nothing-like-it'."),
    ],
)
def test_an_unknown_command_or_option_is_wrong_usage_with_the_nearest_one_named(
    arguments: list[str], hint: str
) -> None:
    refused = CliRunner().invoke(main, arguments)
    assert (refused.exit_code, hint in refused.stderr) == (2, True), refused.output


def test_the_help_needs_none_of_the_heavy_libraries() -> None:
    code = (
        "import sys; from posstream.cli import main; main(['--help'], standalone_mode=False); "
        "heavy = {'faust.app', 'graphene'}; "
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (shown.returncode, shown.stderr) == (0, "")
