"""Runs the work of a command: settings, what is printed, errors as one line, the exit code."""

import asyncio
import functools
import logging
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, ParamSpec

import click

from posstream.domain.errors import InvalidSettings, PosstreamError
from posstream.domain.printable import printable
from posstream.json.writing import write_json
from posstream.logs.setup import JSON, refuse, set_up
from posstream.settings import Settings, asked_log_format
from posstream.streaming import patches

P = ParamSpec("P")

#: The option of each command that lists or shows; its parameter is `as_json`.
JSON_OPTION: Final = click.option(
    "--json", "as_json", is_flag=True, help="One JSON document instead of text."
)


def read_settings() -> Settings:
    """The settings from the environment; ends the command with one line per error."""
    if asked_log_format() == JSON:  # people read a command's warnings as they are
        set_up(JSON)
    try:
        return Settings.from_environment()
    except InvalidSettings as why:
        refuse("\n".join(why.errors), code=2)
    except PosstreamError as why:  # plugins that claim the same thing, or none that can be loaded
        refuse(str(why))


def run(work: Coroutine[Any, Any, int]) -> None:
    """Run a command's work, and exit with the code that it returns."""
    patches.install()  # a foreign record's header name may be no UTF-8
    # Without a handler, aiokafka's lines about a broker that is down would be printed beside ours.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    with errors_told():
        sys.exit(asyncio.run(work))


def runs(work: Callable[P, Coroutine[Any, Any, int]]) -> Callable[P, None]:
    """Make a coroutine function the callback of a command; see `run`."""

    @functools.wraps(work)
    def callback(*args: P.args, **kwargs: P.kwargs) -> None:
        run(work(*args, **kwargs))

    return callback


@contextmanager
def errors_told() -> Iterator[None]:
    """Print an error of posstream as one line, and exit with 1."""
    try:
        yield
    except PosstreamError as why:
        refuse(str(why))


def tell_source(what: str, where: str) -> None:
    """Say on stderr where a command reads: it may be the wrong database or broker."""
    print(f"reading the {what} {printable(where)}", file=sys.stderr)


def tell_broker(settings: Settings) -> None:
    """Say on stderr which broker a command reads."""
    tell_source("broker", ", ".join(settings.bootstrap_servers))


def confirmed(question: str) -> bool:
    """Ask; without an answer, say which option answers beforehand."""
    try:
        if click.confirm(question, err=True):
            return True
    except click.Abort:
        print(file=sys.stderr)
    print("error: nothing was done: answer y, or give --yes", file=sys.stderr)
    return False


def print_json(document: Any) -> None:
    """Print one JSON document."""
    print(write_json(document, indented=True).decode())


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under their head, each column as wide as its longest cell."""
    table = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print("  ".join(map(str.ljust, row, widths)).rstrip())
