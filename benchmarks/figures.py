"""Figures as the page shows them: medians with their spread, tables, bars and their outcome."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.windows import Window, spread


@dataclass(frozen=True, slots=True)
class Bar:
    """What was asked for, and what came of it."""

    what: str
    asked: float
    #: By round.
    measured: Sequence[float]
    #: Whether less is better.
    at_most: bool = False
    unit: str = ""
    #: Why the figure says nothing, if it does not.
    void: str = ""

    @property
    def is_met(self) -> bool:
        """By the median."""
        middle = spread(self.measured).middle
        return middle <= self.asked if self.at_most else middle >= self.asked


def figure(values: Sequence[float], places: int = 0) -> str:
    """The median, and in brackets the least and the most."""
    it = spread(values)
    middle = f"{it.middle:,.{places}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({it.least:,.{places}f} to {it.most:,.{places}f})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are numbers."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def bars(them: Sequence[Bar]) -> str:
    """A table of bars; nothing if there are none."""
    if not them:
        return ""
    rows = []
    for it in them:
        sign = "at most" if it.at_most else "at least"
        places = 1 if it.unit else 2
        outcome = it.void or ("met" if it.is_met else "**missed**")
        measured = f"{figure(it.measured, places)}{it.unit}"
        rows.append([it.what, f"{sign} {it.asked:g}{it.unit}", measured, outcome])
    return "\n\n" + table(["", "bar", "measured", ""], rows)


def ratios(one: Sequence[float], other: Sequence[float]) -> list[float]:
    """Round by round: both were measured in the same minute."""
    return [mine / theirs for mine, theirs in zip(one, other, strict=True)]


def windows(runs: Iterable[dict[str, Any]]) -> list[Window]:
    """The windows of runs as they were kept."""
    return [Window(**run["window"]) for run in runs]


def rates(runs: Iterable[dict[str, Any]]) -> list[float]:
    """Their events a second."""
    return [it.rate for it in windows(runs)]


def cpu_us(runs: Iterable[dict[str, Any]]) -> list[float]:
    """Their microseconds of CPU for an event."""
    return [it.cpu_us for it in windows(runs)]


def mebibytes(runs: Iterable[dict[str, Any]]) -> list[float]:
    """Their resident memory."""
    return [run["rss_bytes"] / 2**20 for run in runs]


def chart(name: str, title: str) -> str:
    """The place of a chart in the page."""
    return f"\n\n![{title}](benchmarks/{name}.svg)"
