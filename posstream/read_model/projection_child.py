"""The child process of a worker that runs the projections: `python -m` this module.

Reads its `Setup` from the first line of stdin. Writes how far the projections are, and what it
logs, as lines of JSON to stdout. Ends with stdin: that is when the worker ends, also by kill -9.
"""

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from posstream.domain.errors import PosstreamError
from posstream.read_model.projecting import Setup, Standings, run
from posstream.startup.process import own_process

#: Added to the child's niceness: tills come first.
_NICE: Final = 19
#: How long a stop may take before the process is ended.
_LAST_SECONDS: Final = 5.0


class _Worker(logging.Handler):
    """Talks to the worker over stdin and stdout; also a handler that sends log lines there."""

    def __init__(self) -> None:
        super().__init__()
        self._stdout = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a plugin may print: not among our lines

    def emit(self, record: logging.LogRecord) -> None:
        """Have the worker log a line under its own name."""
        self._say(log=[record.name, record.levelno, self.format(record)])

    def tell(self, standings: Standings) -> None:
        """Tell the worker how far each projection is."""
        self._say(standings=standings)

    def _say(self, **line: Any) -> None:
        with contextlib.suppress(OSError):  # the worker is gone; stdin's end stops us
            self._stdout.write(msgspec.json.encode(line) + b"\n")
            self._stdout.flush()

    def watch(self, stop: Callable[[], object]) -> None:
        """Stop when the worker has ended, or closes stdin."""

        def wait() -> None:
            sys.stdin.buffer.read()
            last = threading.Timer(_LAST_SECONDS, os._exit, [1])
            last.daemon = True
            last.start()
            stop()

        threading.Thread(target=wait, name="worker watch", daemon=True).start()


def _give_way() -> None:
    """Let tills come first.

    Linux shares a CPU between sessions and counts niceness only inside one (autogroup in
    sched(7)). The child has a session of its own, so the session's niceness is raised too.
    """
    if hasattr(os, "nice"):
        os.nice(_NICE)
    with contextlib.suppress(OSError):  # no such file, or this kernel does not group sessions
        Path("/proc/self/autogroup").write_text(str(_NICE))


def main() -> None:
    """Run until stdin ends."""
    own_process()
    worker = _Worker()
    _give_way()
    logging.basicConfig(level=logging.INFO, handlers=[worker], format="%(message)s")
    for name in ("aiokafka", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        setup = msgspec.json.decode(sys.stdin.buffer.readline(), type=Setup)
        run(setup, tell=worker.tell, watch=worker.watch)
    except PosstreamError as why:
        sys.exit(f"error: the read model cannot be opened ({why})")


if __name__ == "__main__":
    main()
