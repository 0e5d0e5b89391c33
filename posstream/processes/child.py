"""Runs a child process of a worker, and starts it again when it ends.

A child is told its setup, and then maybe more lines, on stdin. It writes lines of JSON to stdout:
log lines, which are logged here under their own names, and what its user understands.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from posstream.resilience.retry import growing_pauses
from posstream.resilience.tasks import stop_task

log = logging.getLogger(__name__)

#: A child that ran for this long is started anew at once.
_RAN_WELL_SECONDS: Final = 60.0
_LONGEST_PAUSE_SECONDS: Final = 60.0
#: The longest line that a child may write.
_LINE_BYTES: Final = 1024 * 1024


class ChildProcess:
    """Starts the child, hears what it says, and starts it again when it ends.

    Args:
        command: the program and its arguments.
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
        name: str,
        setup: Callable[[], Awaitable[bytes]],
        hear: Callable[[Mapping[str, Any]], None],
        ended: Callable[[str], None],
        goodbye: bytes = b"",
        stop_seconds: Callable[[], float],
        silence_seconds: float | None = None,
    ) -> None:
        self._command = command
        self._name = name
        self._setup = setup
        self._hear = hear
        self._ended = ended
        self._goodbye = goodbye
        self._stop_seconds = stop_seconds
        self._silence_seconds = silence_seconds
        self._task: asyncio.Task[None] | None = None
        #: The stdin of a child that was told its setup.
        self._stdin: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        """Start the child."""
        self._task = asyncio.create_task(self._watch(), name=self._name)

    async def close(self) -> None:
        """Ask the child to end, and wait for that; end it if it takes too long. Idempotent."""
        task, self._task = self._task, None
        await stop_task(task)

    def say(self, line: bytes) -> None:
        """Tell the child a line, if it was told its setup; its next setup should say the same."""
        if self._stdin is not None:
            self._stdin.write(line)

    async def _watch(self) -> None:
        while True:
            for pause in growing_pauses(longest_seconds=_LONGEST_PAUSE_SECONDS):
                started = time.monotonic()
                try:
                    why = f"exit code {await self._run()}"
                except TimeoutError:
                    why = f"it said nothing for {self._silence_seconds:g} s"
                except (OSError, ValueError) as error:  # a child that died may leave half a line
                    why = str(error)
                log.error("%s ended (%s); again in %g s", self._name, why, pause)
                self._ended(why)
                await asyncio.sleep(pause)
                if time.monotonic() - started > _RAN_WELL_SECONDS:
                    break

    async def _run(self) -> int:
        child = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES,
            start_new_session=True,  # Ctrl-C is for the worker, which ends the child
        )
        if child.stdin is None or child.stdout is None:
            raise AssertionError
        try:
            child.stdin.write(await self._setup())
            self._stdin = child.stdin
            await self._hear_all(child.stdout, self._silence_seconds)
            return await child.wait()
        except TimeoutError:
            child.kill()
            raise
        finally:
            was_told, self._stdin = self._stdin is not None, None
            await asyncio.shield(self._end(child, was_told=was_told))

    async def _hear_all(self, stdout: asyncio.StreamReader, silence_seconds: float | None) -> None:
        while True:
            async with asyncio.timeout(silence_seconds):
                line = await stdout.readline()
            if not line:
                return
            said = orjson.loads(line)
            if "log" in said:
                name, level, message = said["log"]
                logging.getLogger(name).log(level, "%s", message)
            else:
                self._hear(said)

    async def _end(self, child: asyncio.subprocess.Process, *, was_told: bool) -> None:
        if child.stdin is None or child.stdout is None:
            raise AssertionError
        try:
            async with asyncio.timeout(self._stop_seconds() if was_told else 0):
                if self._goodbye:
                    child.stdin.write(self._goodbye)
                else:
                    child.stdin.close()
                # A pipe that nobody reads would block the child.
                with contextlib.suppress(OSError, ValueError):
                    await self._hear_all(child.stdout, None)
                await child.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
        finally:
            child.stdin.close()
