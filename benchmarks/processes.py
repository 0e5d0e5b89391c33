"""What processes took: CPU time and memory, from /proc. Linux only; elsewhere everything is 0."""

import contextlib
import os
import resource
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
#: Of /proc/PID/stat, counted behind the name: utime and stime.
_UTIME: Final = 11


def tree(pid: int) -> list[int]:
    """A process and whatever it started, as far as it still runs."""
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def trees(pids: Iterable[int]) -> list[int]:
    """The same of several, each process once."""
    return list(dict.fromkeys(one for pid in pids for one in tree(pid)))


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time of the processes and all their threads so far."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            stat = Path(f"/proc/{pid}/stat").read_text()
            fields = stat.rpartition(")")[2].split()
            ticks += int(fields[_UTIME]) + int(fields[_UTIME + 1])
    return ticks / _TICKS


def rss_bytes(pids: Sequence[int]) -> int:
    """Resident memory of the processes now."""
    pages = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()
