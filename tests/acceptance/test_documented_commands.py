"""Every command of posstream that the documentation shows exists, with its options."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from posstream.cli import main
from posstream.plugins.discovery import find_plugins
from tests.acceptance.test_docs import AT_THE_ROOT, PAGES, REFERENCE, ROOT

#: A block of a shell, or what stands between backticks.
CODE = re.compile(r"^ *```(?:sh|console)\n(.*?)^ *```$|`([^`\n]+)`", re.MULTILINE | re.DOTALL)
#: Behind a prompt, variables and a folder.
COMMAND = re.compile(
    r"^ *(?:\$ )?(?:\w+=\S+ )*(?:\.venv/bin/)?posstream ([a-z][^\n#|>]*)", re.MULTILINE
)
#: A word that stands for another one: `ADDRESS`, `[PLUGIN]`, `KEY=VALUE`, `"$(cat rules.txt)"`.
PLACEHOLDER = re.compile(r"[\[\"$'(A-Z…]|.*=")
#: `posstream config PLUGIN …` comes before the command.
NAMES = {plugin.name for plugin in find_plugins()}


def shown_by(page: Path) -> Iterator[str]:
    """The commands on a page, without `posstream`."""
    for block, span in CODE.findall(page.read_text().replace("\\\n", " ")):
        yield from (found.strip() for found in COMMAND.findall(block or span))


def top() -> click.Context:
    """Of `posstream`, with its settings: click keeps the help options that it sees first."""
    return click.Context(main, info_name="posstream", **main.context_settings)


def why_not(shown: str) -> str | None:
    """What of a command does not exist; None if all of it does."""
    command: click.Command = main
    context = top()
    options = {"-h", "--help"}
    for word in (it for it in shown.split() if it not in NAMES):
        if word.startswith("-"):
            if word.split("=")[0] not in options:
                return f"{context.command_path} has no {word}"
        elif isinstance(command, click.Group) and not PLACEHOLDER.match(word):
            found = command.get_command(context, word)
            if found is None:
                return f"{context.command_path} has no {word}"
            command, context = found, click.Context(found, info_name=word, parent=context)
            options |= {name for it in found.params for name in (*it.opts, *it.secondary_opts)}
    return None


@pytest.mark.parametrize(
    "page", [*PAGES, *AT_THE_ROOT], ids=lambda page: str(page.relative_to(ROOT))
)
def test_every_command_on_a_page_exists(page: Path) -> None:
    judged = [why_not(shown) for shown in shown_by(page)]
    assert [why for why in judged if why is not None] == []


def leaves(command: click.Command, context: click.Context) -> Iterator[str]:
    """The commands below one, as `dlq list`."""
    if not isinstance(command, click.Group):
        yield context.command_path.removeprefix("posstream ")
        return
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from leaves(found, click.Context(found, info_name=name, parent=context))


def test_the_reference_has_every_command() -> None:
    page = (REFERENCE / "commands.md").read_text().replace("[PLUGIN] ", "")
    rows = re.findall(r"^\| `posstream ([a-z ]+)", page, re.MULTILINE)
    known = leaves(main, top())
    assert {name.strip() for name in rows} == set(known)


def test_a_command_or_an_option_that_does_not_exist_is_found() -> None:
    assert why_not("config baskets set --enabled") is None
    assert why_not("dlq list --since 2h") is None
    assert why_not("dlq lists") == "posstream dlq has no lists"
    assert why_not("dlq list --until 2h") == "posstream dlq list has no --until"
