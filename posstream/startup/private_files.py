"""Makes a data directory private that was made when other users could read it.

Files that a worker makes now are private from the start (see `process`).
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def keep_private(datadir: Path) -> str | None:
    """Take the rights of all other users away from a data directory and the files in it.

    Returns:
        A sentence for the log if other users had access, or still have it because the directory is
        not this user's. None if all was private, or if files have no such rights.
    """
    if os.name != "posix":
        return None
    opened = [path for path in _paths(datadir) if path.stat().st_mode & _OTHERS]
    if not opened:
        return None
    # A folder such as /tmp is everybody's, and says so by its sticky bit.
    if datadir.stat().st_mode & stat.S_ISVTX:
        return f"the data directory {datadir} belongs to everybody: give the worker one of its own"
    try:
        for path in opened:
            path.chmod(path.stat().st_mode & ~_OTHERS)
    except OSError:
        return f"others may use the data directory {datadir}, and only its owner can change that"
    return f"others could use the data directory {datadir}: it is its owner's alone now"


def _paths(datadir: Path) -> Iterator[Path]:
    """The folder, the files in it, and everything in its tables; links are left out."""
    yield datadir
    inside = [*datadir.iterdir(), *(datadir / "tables").rglob("*")]
    yield from (path for path in inside if not path.is_symlink())
