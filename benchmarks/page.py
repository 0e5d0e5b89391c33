"""Writes docs/reference/benchmarks.md, and its charts beside it, from what was kept.

The words are in `benchmarks.md` beside this file; each measure makes its own tables.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.conditions import PACE
from benchmarks.measures import MEASURES
from benchmarks.results import Kept

PAGE: Final = Path("docs/reference/benchmarks.md")
CHARTS: Final = Path("docs/reference/benchmarks")
#: The page without its figures.
TEMPLATE: Final = Path(__file__).with_name("benchmarks.md")
_NOT_YET: Final = "Not measured yet."
#: Not the same from one measure to the next, and told with each.
_OWN: Final = ("commit", "at", PACE)


def write(kept: Mapping[str, Kept]) -> None:
    """Write the page."""
    PAGE.write_text(render(kept))
    for name, module in MEASURES.items():
        if name in kept and (draw := getattr(module, "draw", None)) is not None:
            draw(kept[name].found, CHARTS)


def render(kept: Mapping[str, Kept]) -> str:
    """The page. A measure that was not taken has no figures."""
    newest = max(kept.values(), key=lambda it: it.conditions["at"], default=None)
    common = {} if newest is None else newest.conditions
    sections = {
        name: _section(module.section(kept[name].found), kept[name], common)
        if name in kept
        else _NOT_YET
        for name, module in MEASURES.items()
    }
    return TEMPLATE.read_text().format(conditions=_table(common), **sections)


def _table(conditions: Mapping[str, str]) -> str:
    rows = [f"| {name} | {value} |" for name, value in conditions.items() if name not in _OWN]
    return "\n".join(["| | |", "|---|---|", *rows])


def _section(text: str, it: Kept, common: Mapping[str, str]) -> str:
    own = it.conditions
    others = [
        f"{name} {value}"
        for name, value in own.items()
        if name not in _OWN and common.get(name) != value
    ]
    broker = it.found.get("broker")
    about = [
        *([broker] if broker else []),
        f"{it.rounds} rounds" if it.rounds > 1 else "1 round",
        *([f"{PACE} took {own[PACE]}"] if PACE in own else []),
        *others,
    ]
    return f"{text}\n\nMeasured {own['at']} at commit {own['commit']}: {', '.join(about)}."
