"""Idle: how soon `make run` is ready, and what it costs while nothing happens."""

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import processes
from benchmarks.figures import Bar, bars, figure, table
from benchmarks.progress import say
from benchmarks.setting import Setting
from tests.browser.dev_worker import running_dev

#: A worker that was just started still has work to do.
_SETTLE_SECONDS: Final = 10
_IDLE_SECONDS: Final = 30
_MAIN: Final = "worker"
_BROKER: Final = "embedded broker"
#: The most percent of a core, by process.
_BARS: Final = {_MAIN: 3, _BROKER: 3}
#: Seconds until it is ready, at most.
_READY_SECONDS: Final = 4


def measure(setting: Setting) -> dict[str, Any]:
    """In each round, start `posstream dev` with an empty data directory and send it nothing.

    Returns:
        By round, the seconds until it was ready, and percent of a core by process.
    """
    made = []
    for number in range(1, setting.rounds + 1):
        made.append(asyncio.run(_round(setting.folder / f"idle-{number}")))
        say(f"round {number} of {setting.rounds}: ready after {made[-1]['ready']:.1f} s")
    return {"broker": "embedded", "rounds": made}


async def _round(folder: Path) -> dict[str, Any]:
    began = time.monotonic()
    async with running_dev(folder):
        ready = time.monotonic() - began
        await asyncio.sleep(_SETTLE_SECONDS)
        own = processes.tree(os.getpid())[1:]
        before, at = _cpu(own), time.monotonic()
        await asyncio.sleep(_IDLE_SECONDS)
        after, seconds = _cpu(own), time.monotonic() - at
    return {
        "ready": ready,
        "percent": {name: (after[name] - before[name]) / seconds * 100 for name in before},
    }


def _cpu(pids: Sequence[int]) -> Mapping[str, float]:
    return {_name(pid): processes.cpu_seconds([pid]) for pid in pids}


def _name(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    if "posstream.cli" in words:
        return _MAIN
    if "broker" in words:
        return _BROKER
    if "posstream.plugins.beside_child" in words:
        return words[words.index("posstream.plugins.beside_child") + 1]
    return "projections"


def section(found: dict[str, Any]) -> str:
    """A row for each process, and the bars."""
    rounds = found["rounds"]
    by_name = {name: [it["percent"][name] for it in rounds] for name in rounds[0]["percent"]}
    rows = [[name, figure(percent, 1)] for name, percent in by_name.items()]
    wanted = [
        Bar(f"{name}, idle", most, by_name[name], at_most=True, unit=" % of a core")
        for name, most in _BARS.items()
        if name in by_name
    ]
    ready = [it["ready"] for it in rounds]
    wanted.append(Bar("ready after", _READY_SECONDS, ready, at_most=True, unit=" s"))
    return table(["process", "percent of a core"], rows) + bars(wanted)
