"""Writes a record of the log as one line: text for people, or JSON for a log store.

A caller says what a line is about by `extra`: `log.info("…", extra={"plugin": name})`.
"""

import logging
import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from posstream.domain.printable import printable
from posstream.domain.times import iso_utc_ms
from posstream.logs.masking import masked

#: The fields that say what a line is about, in the order in which they are written.
FIELDS: Final = ("plugin", "lookup_id", "basket_id", "worker", "trace_id")
_OF_PLUGIN: Final = re.compile(r"agents\.([a-z][a-z0-9_]*)(?:\.|$)")


class Lines(logging.Formatter):
    """What both formats have in common.

    Args:
        worker: the name of this worker; empty = none.
    """

    def __init__(self, worker: str = "") -> None:
        super().__init__()
        self._worker = worker

    def said(self, record: logging.LogRecord) -> str:
        """The message, on one line and masked."""
        return printable(masked(record.getMessage().strip()))

    def trace(self, record: logging.LogRecord) -> str:
        """The traceback, masked; empty if the record has none."""
        found = record.exc_text or ""
        if record.exc_info and record.exc_info[0] is not None:
            found = self.formatException(record.exc_info)
        return printable(masked(found), lines=True)

    def about(self, record: logging.LogRecord) -> Mapping[str, str]:
        """What the line is about, by the names of `FIELDS`."""
        given = about(record)
        if self._worker:
            given = {"worker": self._worker, **given}
        return {name: printable(masked(str(given[name]))) for name in FIELDS if given.get(name)}


class TextLines(Lines):
    """`TIME LEVEL LOGGER: MESSAGE [plugin=… basket_id=…]`, and the traceback below."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and those of a traceback."""
        fields = " ".join(f"{name}={it}" for name, it in self.about(record).items())
        line = f"{_time(record)} {record.levelname:<8} {record.name}: {self.said(record)}"
        if fields:
            line = f"{line} [{fields}]"
        trace = self.trace(record)
        return f"{line}\n{trace}" if trace else line


class JsonLines(Lines):
    """One JSON object: time, level, logger, message, `FIELDS` as far as known, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": self.said(record),
            **self.about(record),
        }
        if trace := self.trace(record):
            line["traceback"] = trace
        # orjson refuses lone surrogates, which are no UTF-8; `printable` has removed them.
        return orjson.dumps(line).decode()


def about(record: logging.LogRecord) -> Mapping[str, Any]:
    """What a record is about, as its caller or its logger says."""
    given = {name: it for name in FIELDS if (it := getattr(record, name, None)) is not None}
    if "plugin" not in given and (found := _OF_PLUGIN.match(record.name)):
        given["plugin"] = found[1]
    return given


def _time(record: logging.LogRecord) -> str:
    return iso_utc_ms(int(record.created * 1000))
