"""Readers of settings' texts, for the platform and for plugins.

Each raises ValueError with what is wrong; the name of the setting goes before it.
"""

import re
from pathlib import Path
from typing import Final

from posstream.startup.settings_part import Reader

_MAX_TEXT: Final = 4096
#: Most bytes of a secret's file that are read: a path such as /dev/zero has no end.
_MAX_FILE: Final = 65_536


def number(lowest: int, highest: int) -> Reader:
    """A reader of whole numbers from `lowest` to `highest`."""

    def read(raw: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", raw) or not lowest <= int(raw) <= highest:
            raise ValueError(f"must be a whole number from {lowest} to {highest}")
        return int(raw)

    return read


def switch(raw: str) -> bool:
    """`on` or `off`."""
    if raw.lower() not in {"on", "off"}:
        raise ValueError("must be on or off")
    return raw.lower() == "on"


def one_of(*words: str) -> Reader:
    """A reader of one of some words, in any case."""
    known = {word.lower(): word for word in words}

    def read(raw: str) -> str:
        if raw.lower() not in known:
            raise ValueError(f"must be {' or '.join(words)}")
        return known[raw.lower()]

    return read


def text(raw: str) -> str:
    """Printable text of a bounded length."""
    if not raw.isprintable() or len(raw) > _MAX_TEXT:
        raise ValueError(f"must have at most {_MAX_TEXT:,} printable characters")
    return raw


def secret(raw: str) -> str:
    """The text of the file with this path, such as one that Docker or Kubernetes mounts.

    The newline at its end is left out. No error shows the path or the content.
    """
    try:
        with Path(raw).open("rb") as file:
            content = file.read(_MAX_FILE + 1)
    except OSError as why:
        raise ValueError(f"cannot be read: {why.strerror}") from None
    if len(content) > _MAX_FILE:
        raise ValueError(f"has more than {_MAX_FILE} bytes")
    try:
        found = content.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    if not found.strip():
        raise ValueError("is empty")
    return found
