"""Runs a child process of a worker, and starts it again when it ends.

A child is told its setup, and then maybe more lines, on stdin. It writes lines of JSON to stdout:
log lines, which are logged here under their own names, and what its user understands.
"""

import asyncio
import contextlib
import logging
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from posstream.logs import relay
from posstream.resilience.retry import growing_pauses
from posstream.resilience.tasks import stop_task

log = logging.getLogger(__name__)

#: A child that ran for this long is started anew at once.
_RAN_WELL_SECONDS: Final = 60.0
_LONGEST_PAUSE_SECONDS: Final = 60.0


#: A child's process.
Spawned = subprocess.Popen[bytes]


def spawn(command: Sequence[str]) -> Spawned:
    """Start a child's process, which waits for its setup.

    Not by asyncio: a child may be started before there is an event loop, so that it imports what it
    needs while its worker does so, too.
    """
    return subprocess.Popen(  # noqa: S603 - our own program
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the worker, which ends the child
    )


class ChildProcess:
    """Starts the child, hears what it says, and starts it again when it ends.

    Args:
        command: the program and its arguments.
        spawned: the first process of this command, if it was started before.
        name: what the child is, in sentences: "the process of the projections".
        setup: makes what the child is told, at each start; the child may be kept waiting for it.
        hear: takes what the child says.
        ended: called with the reason when the child has ended by itself.
        goodbye: the line that asks the child to end; empty = its stdin is closed.
        stop_seconds: how long it may take to end.
        silence_seconds: after this time without a line the child is ended; None = it may be silent.
    """

    def __init__(  # noqa: PLR0913 - each is named
        self,
        command: Sequence[str],
        *,
        spawned: Spawned | None = None,
        name: str,
        setup: Callable[[], Awaitable[bytes]],
        hear: Callable[[Mapping[str, Any]], None],
        ended: Callable[[str], None],
        goodbye: bytes = b"",
        stop_seconds: Callable[[], float],
        silence_seconds: float | None = None,
    ) -> None:
        self._command = command
        self._spawned = spawned
        self._name = name
        self._setup = setup
        self._hear = hear
        self._ended = ended
        self._goodbye = goodbye
        self._stop_seconds = stop_seconds
        self._silence_seconds = silence_seconds
        self._task: asyncio.Task[None] | None = None
        #: A child that was told its setup.
        self._told: Spawned | None = None

    async def open(self) -> None:
        """Start the child."""
        self._task = asyncio.create_task(self._watch(), name=self._name)

    async def close(self) -> None:
        """Ask the child to end, and wait for that; end it if it takes too long. Idempotent."""
        task, self._task = self._task, None
        await stop_task(task)

    def say(self, line: bytes) -> None:
        """Tell the child a line, if it was told its setup; its next setup should say the same."""
        if self._told is not None:
            _write(self._told, line)

    @property
    def pid(self) -> int | None:
        """The id of the child's process; None before it gets its setup, and after its end."""
        return None if self._told is None else self._told.pid

    async def _watch(self) -> None:
        while True:
            for pause in growing_pauses(longest_seconds=_LONGEST_PAUSE_SECONDS):
                started = time.monotonic()
                try:
                    why = f"exit code {await self._run()}"
                except TimeoutError:
                    why = f"it said nothing for {self._silence_seconds:g} s"
                except Exception as error:  # half a line of a child that died, or any other
                    log.debug("%s", self._name, exc_info=True)
                    why = f"{type(error).__name__}: {error}"
                log.error("%s ended (%s); again in %g s", self._name, why, pause)
                self._ended(why)
                await asyncio.sleep(pause)
                if time.monotonic() - started > _RAN_WELL_SECONDS:
                    break

    async def _run(self) -> int:
        child, self._spawned = self._spawned or spawn(self._command), None
        lines = _lines(child)
        try:
            _write(child, await self._setup())
            self._told = child
            await self._hear_all(lines, self._silence_seconds)
            return await asyncio.to_thread(child.wait)
        except TimeoutError:
            child.kill()
            raise
        finally:
            was_told, self._told = self._told is not None, None
            await asyncio.shield(self._end(child, lines, was_told=was_told))

    async def _hear_all(self, lines: "asyncio.Queue[bytes]", silence_seconds: float | None) -> None:
        while True:
            async with asyncio.timeout(silence_seconds):
                line = await lines.get()
            if not line:
                return
            said = orjson.loads(line)
            if "log" in said:
                relay.write(said["log"])
            else:
                self._hear(said)

    async def _end(self, child: Spawned, lines: "asyncio.Queue[bytes]", *, was_told: bool) -> None:
        try:
            if child.poll() is None and was_told:
                if self._goodbye:
                    _write(child, self._goodbye)
                else:
                    _close(child)
                with contextlib.suppress(TimeoutError, ValueError):
                    async with asyncio.timeout(self._stop_seconds()):
                        await self._hear_all(lines, None)
        finally:
            child.kill()  # or it has ended
            await asyncio.to_thread(child.wait)
            _close(child)


def _lines(child: Spawned) -> "asyncio.Queue[bytes]":
    """What a child writes, and an empty line at its end."""
    loop, lines = asyncio.get_running_loop(), asyncio.Queue[bytes]()

    def read() -> None:
        if child.stdout is None:
            raise AssertionError
        with child.stdout, contextlib.suppress(RuntimeError):  # the worker's loop has ended
            for line in child.stdout:
                loop.call_soon_threadsafe(lines.put_nowait, line)
            loop.call_soon_threadsafe(lines.put_nowait, b"")

    threading.Thread(target=read, name=f"lines of {child.pid}", daemon=True).start()
    return lines


def _write(child: Spawned, line: bytes) -> None:
    if child.stdin is None:
        raise AssertionError
    with contextlib.suppress(OSError):  # it has ended, which its stdout tells
        child.stdin.write(line)
        child.stdin.flush()


def _close(child: Spawned) -> None:
    if child.stdin is not None:
        with contextlib.suppress(OSError):
            child.stdin.close()
