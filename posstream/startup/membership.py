"""A worker's name in its consumer group: kept in its data directory, so that it outlives a crash.

A worker without a name is a new member after a crash, and the broker makes the whole group wait
for the dead one until its session times out: 30 seconds in which no worker answers a till. A worker
that comes back under its old name takes its place at once (static membership, KIP-345).
"""

import sys
import uuid
from pathlib import Path
from typing import IO, Any

from posstream.domain.errors import StartRefused
from posstream.startup.writable_folder import folder_refusal


class Membership:
    """The name, and the lock that keeps a second worker from using the same directory.

    Args:
        datadir: the worker's own; made if it is not there.
    """

    def __init__(self, datadir: Path) -> None:
        self._path = datadir / "worker-name"
        self._file: IO[Any] | None = None
        self._name = ""

    def claim(self) -> str:
        """The worker's name; it stays claimed until `release` or the end of the process.

        Claim the directory before anything in it is deleted. Idempotent.

        Raises:
            StartRefused: if another process has it.
        """
        if self._file is not None:
            return self._name
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = self._path.open("a+")
        except OSError as why:
            raise StartRefused(self._unusable(why.strerror)) from why
        if not _lock(file):
            file.close()
            raise StartRefused(self._taken())
        self._file = file
        file.seek(0)
        self._name = file.read().strip()
        if not self._name:  # the first start, or killed before it was written
            self._name = f"posstream-{uuid.uuid4()}"
            file.write(self._name)
            file.flush()
        return self._name

    def ask(self, *, beside_worker: bool = False) -> bool:
        """Check whether `claim` would succeed; makes nothing.

        Args:
            beside_worker: do not refuse if another process has the directory.

        Returns:
            whether another process has the directory.

        Raises:
            StartRefused: as `claim`.
        """
        if self._file is not None:
            return False
        try:
            why = folder_refusal(self._path.parent)
            taken = why is None and self._path.exists() and self._is_locked()
        except OSError as error:
            raise StartRefused(self._unusable(error.strerror)) from error
        if why is not None:
            raise StartRefused(self._unusable(why))
        if taken and not beside_worker:
            raise StartRefused(self._taken())
        return taken

    def _is_locked(self) -> bool:
        with self._path.open("r+") as file:
            return not _lock(file)

    def _unusable(self, why: str | None) -> str:
        return (
            f"the data directory {self._path.parent} cannot be used ({why}): see POSSTREAM_DATADIR"
        )

    def _taken(self) -> str:
        return (
            f"another worker uses the data directory {self._path.parent}: "
            "give each its own by POSSTREAM_DATADIR"
        )

    def release(self) -> None:
        """Let another process have the directory."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _lock(file: IO[Any]) -> bool:
    if sys.platform == "win32":
        return True  # RocksDB refuses the second worker there, later and in its own words
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
