"""Leaves out what libraries say too often: their progress, and the same warning again and again.

With the level DEBUG both are written. Debug lines of libraries never are.
"""

import logging
import re
import threading
import time
from collections.abc import Callable
from typing import Final

#: Libraries whose progress nobody reads: a start of a worker was 300 lines of it.
_LIBRARIES: Final = (
    *("aiokafka", "aiosqlite", "alembic", "asyncio", "faust", "kafka", "mode", "psycopg"),
    *("aiohttp", "opentelemetry", "sqlalchemy", "urllib3"),
)
#: Warnings that mean nothing here, by their logger: timers that a busy machine wakes late, and
#: settings of Faust that we change before their use.
_HARMLESS: Final = {
    "mode.timers": re.compile("Timer "),
    "py.warnings": re.compile(".*AlreadyConfiguredWarning", re.DOTALL),
}
#: The logger of what a program prints: mode makes lines of it.
_PRINTED: Final = "mode.redirect"
#: The start and stop of Faust's services, such as `[^--Runtime]: Starting...`, and what Faust's
#: store says at a rebalance. Both come under our loggers too.
_PROGRESS: Final = re.compile(r"\[\^-*.+?\]: |opening partition |generation id |Closing rocksdb")
#: How many kinds of warnings are remembered: a message with its values in it is always a new kind.
_MOST_KINDS: Final = 1000
#: Seconds between two warnings of one kind.
_PER_SECONDS: Final = 60.0
_MARK: Final = "once_a_minute"
#: `extra` for a line of ours that may come a hundred times a second.
ONCE_A_MINUTE: Final = {_MARK: True}
#: Marks a record of a child process: the filter of the child has let it pass.
RELAYED: Final = "relayed"


def quieten(level: int) -> None:
    """Let libraries write warnings only, and with the level DEBUG their progress too.

    Their debug lines are never written: those of aiokafka take a tenth of all CPU, and others name
    customers.
    """
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING if level > logging.DEBUG else logging.INFO)
    logging.getLogger(_PRINTED).setLevel(logging.INFO)


class Noise(logging.Filter):
    """Drops the progress of services; lets one of equal warnings of a library pass each minute.

    The next one that passes says how many were left out. Our own warnings are treated so only if
    they carry `ONCE_A_MINUTE`.

    Args:
        now: seconds that only grow.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._lock = threading.Lock()
        #: (logger, message without its values, plugin) -> when it passed; how many did not since.
        self._passed: dict[tuple[str, str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record passes. One that passes says how many were left out before it."""
        if hasattr(record, RELAYED):
            return True
        if record.levelno < logging.WARNING:
            return _PROGRESS.match(str(record.msg)) is None
        harmless = _HARMLESS.get(record.name)
        if harmless is not None and harmless.match(record.getMessage()):
            return False
        if not hasattr(record, _MARK) and (
            record.name.partition(".")[0] not in _LIBRARIES or record.name == _PRINTED
        ):
            return True
        kind = record.name, str(record.msg), str(getattr(record, "plugin", ""))
        now = self._now()
        with self._lock:
            since, count = self._passed.get(kind, (None, 0))
            if since is not None and now - since < _PER_SECONDS:
                self._passed[kind] = since, count + 1
                return False
            self._passed[kind] = now, 0
            if len(self._passed) > _MOST_KINDS:
                self._passed.clear()
        if count:
            record.msg = f"{record.getMessage()} ({count} more like this were left out)"
            record.args = ()
        return True
