"""Checks whether a folder can be written, or made. Leaves nothing behind."""

import os
from pathlib import Path
from tempfile import TemporaryFile


def folder_refusal(folder: Path) -> str | None:
    """Why a worker could not write into a folder; None if it could.

    Raises:
        OSError: if the path cannot be looked at.
    """
    for found in (folder, *folder.absolute().parents):
        if not found.exists():
            continue
        if not found.is_dir():
            return f"{found} is a file"
        if not os.access(found, os.W_OK | os.X_OK):
            return f"{found} cannot be written by this user"
        try:
            TemporaryFile(dir=found).close()
        except OSError as why:  # such as /proc, which looks writable to the superuser
            return f"{found} takes no files: {why.strerror}"
        return None
    return None
