"""Runs the work of a command: its settings, its tables, its errors as one line, its exit code."""

import asyncio
import functools
import logging
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ParamSpec

from posstream.domain.errors import InvalidSettings, PosstreamError
from posstream.logs.setup import JSON, refuse, set_up
from posstream.settings import Settings, asked_log_format
from posstream.streaming import patches

P = ParamSpec("P")


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


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under their head, each column as wide as its longest cell."""
    table = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print("  ".join(map(str.ljust, row, widths)).rstrip())
