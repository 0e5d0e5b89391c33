"""Carries records of the log from a child process to its worker, which writes them as its own."""

import logging
from collections.abc import Mapping
from typing import Any, Final

from posstream.logs.lines import about
from posstream.logs.noise import RELAYED

_PLAIN: Final = logging.Formatter()


def carried(record: logging.LogRecord) -> dict[str, Any]:
    """The fields of a record as values for JSON."""
    trace = record.exc_text or ""
    if record.exc_info and record.exc_info[0] is not None:
        trace = _PLAIN.formatException(record.exc_info)
    return {
        "name": record.name,
        "levelno": record.levelno,
        "msg": record.getMessage(),
        "created": record.created,
        "exc_text": trace,
        "about": {name: str(it) for name, it in about(record).items()},
    }


def write(told: Mapping[str, Any]) -> None:
    """Write a carried record into the log of this process, if its level is wanted."""
    fields = dict(told)
    logger = logging.getLogger(fields["name"])
    if logger.isEnabledFor(fields["levelno"]):
        level = logging.getLevelName(fields["levelno"])
        given = {"levelname": level, "args": (), RELAYED: True} | fields.pop("about")
        logger.handle(logging.makeLogRecord(fields | given))
