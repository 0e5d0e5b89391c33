"""Keeps what the tests write in memory, where the machine offers that."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder of each test's own is made in it
#: The whole suite takes less than one.
_NEEDED_BYTES: Final = 4 * 2**30


def keep_in_memory() -> None:
    """Let temporary files of this process and its children be in memory, unless TMPDIR is set.

    RocksDB, SQLite and the servers wait for the disk at many of their steps; a machine's tests
    side by side wait for each other there.
    """
    if "TMPDIR" not in os.environ and _has_room():
        os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)


def _has_room() -> bool:
    try:
        return shutil.disk_usage(_MEMORY).free > _NEEDED_BYTES and os.access(_MEMORY, os.W_OK)
    except OSError:
        return False
