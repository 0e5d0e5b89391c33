"""Runs the work of a command: its settings, its errors as one line, its exit code."""

import asyncio
import logging
import sys
from collections.abc import Coroutine
from typing import Any

from posstream.domain.errors import InvalidSettings, PosstreamError
from posstream.settings import Settings
from posstream.streaming import patches


def read_settings() -> Settings:
    """The settings from the environment; ends the command with one line per error."""
    try:
        return Settings.from_environment()
    except InvalidSettings as why:
        for line in why.errors:
            print(f"error: {line}", file=sys.stderr)
        sys.exit(2)


def run(work: Coroutine[Any, Any, int]) -> None:
    """Run a command's work, and exit with the code that it returns."""
    patches.install()  # a foreign record's header name may be no UTF-8
    # aiokafka's own lines about a broker that is down would stand beside our one.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    try:
        sys.exit(asyncio.run(work))
    except PosstreamError as why:
        refuse(why)


def refuse(why: Exception) -> None:
    """Print why the command cannot be done, and exit with 1."""
    print(f"error: {why}", file=sys.stderr)
    sys.exit(1)
