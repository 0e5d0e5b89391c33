"""Where and with what something was measured."""

import importlib.metadata
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from typing import Final

#: What a worker is made of.
_PACKAGES: Final = ("faust-streaming", "aiokafka", "rocksdict", "posstream")


def conditions(others: Sequence[str] = ()) -> dict[str, str]:
    """Machine, versions, commit and date.

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
        **versions((*_PACKAGES, *others)),
        "commit": described.stdout.strip() or "none",
        "at": time.strftime("%Y-%m-%d %H:%M"),
    }


def versions(packages: Sequence[str]) -> dict[str, str]:
    """The versions of those that are installed."""
    found = {}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
