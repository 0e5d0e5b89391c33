"""A server process for tests that break it: killed, paused, stopped and started again."""

import abc
import asyncio
import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from posstream.kafka.embedded_broker import free_port

READY_SECONDS = 60
_PR_SET_PDEATHSIG = 1


def lasting_ports(count: int) -> list[int]:
    """Free ports on loopback, all different."""
    found: set[int] = set()
    while len(found) < count:
        found.add(free_port())
    return list(found)


class ServerProcess(abc.ABC):
    """One server with its child processes; what it is started with stays over restarts.

    It does not outlive the tests, even if they are killed themselves. Pausing needs Linux.
    """

    #: What ends it in good order.
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, command: Sequence[str], log_file: Path, *, user: str | None = None) -> None:
        self.log_file = log_file
        self._command = command
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None

    @abc.abstractmethod
    async def answers(self) -> bool:
        """Whether it serves its clients at this moment."""

    @property
    def running(self) -> bool:
        """Whether there is a process, paused ones included."""
        return self._process is not None and self._process.poll() is None

    def processes(self) -> list[int]:
        """The process ids of the server and its children."""
        return [self._process.pid, *self._children()] if self._process and self.running else []

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def start(self) -> None:
        """Start it; `ready` waits. Only in the main thread: it dies with the thread it is from."""
        assert not self.running, "it runs already"
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self._user,
                # Ctrl-C reaches the whole foreground group; the tests end it when they are done.
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - no lock is held in a test
            )

    async def ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until it serves its clients.

        Raises:
            RuntimeError: with the end of its log, if it ended or the time is up.
        """
        give_up_at = time.monotonic() + seconds
        while not await self.answers():
            if not self.running or time.monotonic() > give_up_at:
                state = "does not answer" if self.running else "is not running"
                raise RuntimeError(f"{type(self).__name__} {state}: {self.log[-3000:]}")
            await asyncio.sleep(0.1)

    async def stop(self, seconds: float = READY_SECONDS) -> None:
        """End it in good order and wait; nothing to do if it does not run.

        Raises:
            subprocess.TimeoutExpired: if it has not ended by then. It still runs.
        """
        if self._process is not None and self.running:
            self._process.send_signal(self.stop_signal)
            await asyncio.to_thread(self._process.wait, seconds)

    def kill(self) -> None:
        """SIGKILL to all its processes; back when they are gone. Paused ones die too."""
        if self._process is None or not self.running:
            return
        children = self._stop_forking()
        for child in children:
            _kill_and_wait(child)
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        """SIGSTOP to all its processes: connections stay open, and nothing answers."""
        for child in self._stop_forking():
            os.kill(child, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT to all its processes."""
        assert self._process is not None
        for child in self._children():
            with contextlib.suppress(ProcessLookupError):  # a running server's children come and go
                os.kill(child, signal.SIGCONT)
        self._process.send_signal(signal.SIGCONT)

    def _stop_forking(self) -> list[int]:
        """Pause the parent alone; nobody comes to its children, and it reaps none of them."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        return self._children()

    def _children(self) -> list[int]:
        assert self._process is not None
        pid = self._process.pid
        with contextlib.suppress(FileNotFoundError):
            return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return []


def _kill_and_wait(pid: int) -> None:
    ended = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(ended, signal.SIGKILL)
        select.select([ended], [], [])
    finally:
        os.close(ended)


def _die_with_parent() -> None:
    """Linux: a paused server whose tests were killed would be there for ever."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
