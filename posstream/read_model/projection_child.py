"""The child process of a worker that runs the projections: `python -m` this module.

Its first line on stdin is the `Setup`. It says how far it is and what it logs in lines of JSON on
stdout, and ends when stdin ends: that is when the worker ends, also by kill -9.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

import orjson

from posstream.domain.errors import PosstreamError
from posstream.read_model.projecting import Setup, Standings, run
from posstream.startup.process import own_process

#: Added to the child's niceness: tills come first.
_NICE: Final = 10
#: How long a stop may take before the process is ended.
_LAST_SECONDS: Final = 5.0


class _Lines(logging.Handler):
    """Log lines for the worker, which logs them under their own names."""

    def emit(self, record: logging.LogRecord) -> None:
        _say(log=[record.name, record.levelno, self.format(record)])


def main() -> None:
    """Run until stdin ends."""
    own_process()
    if hasattr(os, "nice"):
        os.nice(_NICE)
    logging.basicConfig(level=logging.INFO, handlers=[_Lines()], format="%(message)s")
    for name in ("aiokafka", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    setup = Setup.read(sys.stdin.buffer.readline())
    try:
        run(setup, tell=_tell, watch=_watch_stdin)
    except PosstreamError as why:
        _say(log=[__name__, logging.ERROR, f"the read model cannot be opened ({why})"])
        sys.exit(1)


def _watch_stdin(stop: Callable[[], object]) -> None:
    def watch() -> None:
        sys.stdin.buffer.read()
        last = threading.Timer(_LAST_SECONDS, os._exit, [1])
        last.daemon = True
        last.start()
        stop()

    threading.Thread(target=watch, name="worker watch", daemon=True).start()


def _tell(standings: Standings) -> None:
    _say(standings={name: asdict(standing) for name, standing in standings.items()})


def _say(**line: Any) -> None:
    try:
        sys.stdout.buffer.write(orjson.dumps(line) + b"\n")
        sys.stdout.buffer.flush()
    except OSError:  # the worker is gone; stdin's end stops us
        pass


if __name__ == "__main__":
    main()
