"""Raises the limit of files and sockets that this process may have open."""

import contextlib
import sys
from typing import Final

#: Assumed where the system does not tell its limit.
_UNKNOWN: Final = 1024


def raise_open_files() -> int:
    """Raise the soft limit of open files to the hard one. Returns the limit in force.

    Many systems start a process with a soft limit of 1,024 for programs that use `select`, and
    with a hard one that is far higher. Idempotent.
    """
    if sys.platform == "win32":  # pragma: no cover - it has no such limit
        return _UNKNOWN
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # Some systems name a hard limit that they do not grant.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft
