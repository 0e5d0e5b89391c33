"""Sets up the log of a process: its format, its level, and where it goes."""

import logging
import sys
from typing import IO, Final, NoReturn

from posstream.logs.lines import JsonLines, TextLines
from posstream.logs.noise import Noise, quieten

log = logging.getLogger(__name__)

#: POSSTREAM_LOG_FORMAT.
TEXT: Final = "text"
JSON: Final = "json"


def set_up(
    log_format: str,
    *,
    level: int = logging.WARNING,
    worker: str = "",
    to: str | IO[str] | None = None,
) -> None:
    """Let this process write its log; this replaces an earlier setup.

    Args:
        log_format: `TEXT` or `JSON`.
        level: lines below it are left out.
        worker: the worker's name; each JSON line has it.
        to: a file's path or a stream; None = stderr.
    """
    handler: logging.Handler
    if isinstance(to, str):
        handler = logging.FileHandler(to, encoding="utf-8")
    else:
        handler = logging.StreamHandler(sys.stderr if to is None else to)
    handler.setFormatter(JsonLines(worker) if log_format == JSON else TextLines())
    handle_by(handler, level)
    logging.captureWarnings(capture=True)


def handle_by(handler: logging.Handler, level: int) -> None:
    """Give every line of this process to one handler, without the noise of libraries."""
    for former in [it for it in handler.filters if isinstance(it, Noise)]:
        handler.removeFilter(former)
    if level > logging.DEBUG:
        handler.addFilter(Noise())
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(level)
    quieten(level)


def tell_warning(text: str) -> None:
    """Write a warning about the settings: plain text to stderr, or a line if the log is JSON."""
    if _is_json():
        log.warning("%s", text)
    else:
        print(f"warning: {text}", file=sys.stderr)  # noqa: T201 - for the person who starts it


def refuse(why: str, *, code: int = 1) -> NoReturn:
    """End the process after its log, or stderr where the log is for people, said why.

    Args:
        why: a line for each reason.
        code: the exit code.
    """
    for line in why.splitlines():
        if _is_json():
            log.critical("%s", line)
        else:
            print(f"error: {line}", file=sys.stderr)  # noqa: T201 - for people
    sys.exit(code)


def _is_json() -> bool:
    return any(isinstance(it.formatter, JsonLines) for it in logging.root.handlers)
