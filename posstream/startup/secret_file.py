"""Reads a secret from a file, such as one that Docker or Kubernetes mounts."""

from pathlib import Path
from typing import Final

#: Most bytes that are read: a path such as /dev/zero has no end.
_LONGEST: Final = 65_536


def read_secret(path: Path) -> str:
    """The file's text without the newline at its end.

    Raises:
        ValueError: with why it cannot be used; neither the path nor what the file has is shown.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST + 1)
    except OSError as why:
        raise ValueError(f"cannot be read: {why.strerror}") from None
    if len(content) > _LONGEST:
        raise ValueError(f"has more than {_LONGEST} bytes")
    try:
        secret = content.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    if not secret.strip():
        raise ValueError("is empty")
    return secret
