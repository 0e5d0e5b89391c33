"""A child process's side of the pipes to its worker: what it logs and tells, and what it is told.

The child ends with stdin: that is when its worker ends, also by kill -9.
"""

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from posstream.logs.relay import carried


class Worker(logging.Handler):
    """Talks to the worker over stdin and stdout; also a handler that sends log lines there."""

    def __init__(self) -> None:
        super().__init__()
        self._stdout = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a plugin may print: not among our lines

    def emit(self, record: logging.LogRecord) -> None:
        """Have the worker log a line under its own name."""
        try:
            self.say(log=carried(record))
        except Exception:  # noqa: BLE001 - a wrong call must not end its caller
            self.handleError(record)

    def say(self, **line: Any) -> None:
        """Tell the worker something."""
        with contextlib.suppress(OSError):  # the worker is gone; stdin's end stops us
            self._stdout.write(msgspec.json.encode(line) + b"\n")
            self._stdout.flush()

    def listen(self, hear: Callable[[bytes], object], *, ended: Callable[[], object]) -> None:
        """Hear what the worker says from now on, and its end.

        Args:
            hear: takes each line, in a thread.
            ended: called in a thread when the worker has ended, or has closed stdin.
        """

        def read() -> None:
            for line in sys.stdin.buffer:
                hear(line)
            ended()

        threading.Thread(target=read, name="worker watch", daemon=True).start()


def leave(run: Callable[[], object]) -> NoReturn:
    """Run, and end the process with its exit code; no exit function is called.

    The thread of `Worker.listen` waits for stdin with its lock held, and an interpreter that shuts
    down wants the lock: it would abort.
    """
    code: object = 0
    try:
        run()
    except SystemExit as end:
        code = end.code
        if isinstance(code, str):
            print(code, file=sys.stderr)  # noqa: T201 - as the interpreter does
    except BaseException:
        logging.getLogger(__name__).exception("the process ends")
        code = 1
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def give_way(nice: int) -> None:
    """Let tills come first.

    Linux shares a CPU between sessions and counts niceness only inside one (autogroup in
    sched(7)). The child has a session of its own, so the session's niceness is raised too.

    Args:
        nice: added to the child's niceness; up to 19.
    """
    if hasattr(os, "nice"):
        os.nice(nice)
    with contextlib.suppress(OSError):  # no such file, or this kernel does not group sessions
        Path("/proc/self/autogroup").write_text(str(nice))
