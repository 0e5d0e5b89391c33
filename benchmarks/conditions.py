"""Where and with what something was measured."""

import importlib.metadata
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from typing import Final

from posstream import __version__

#: Told with each figure: machines that are shared change from hour to hour.
PACE: Final = "10^7 additions in Python"
_ADDITIONS: Final = 10**7
#: What a worker is made of.
_PACKAGES: Final = ("faust-streaming", "aiokafka", "rocksdict")


def conditions(others: Sequence[str] = ()) -> dict[str, str]:
    """Machine, its speed now, versions, commit and date.

    Args:
        others: more packages whose versions matter; what is not installed is left out.
    """
    commit = ["git", "describe", "--always", "--dirty"]
    described = subprocess.run(commit, capture_output=True, text=True, check=False)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **versions(_PACKAGES),
        "posstream": __version__,
        **versions(others),
        PACE: f"{_pace_seconds():.2f} s",
        "commit": described.stdout.strip() or "none",
        "at": time.strftime("%Y-%m-%d %H:%M"),
    }


def _pace_seconds() -> float:
    """How long one core takes for a loop of additions; the best of three."""
    found = []
    for _ in range(3):
        began = time.process_time()
        total = 0
        for number in range(_ADDITIONS):
            total += number
        found.append(time.process_time() - began)
    return min(found)


def versions(packages: Sequence[str]) -> dict[str, str]:
    """The versions of those that are installed."""
    found = {}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
