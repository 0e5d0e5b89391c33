"""The charts of the page, as SVG: the same figures draw the same file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.windows import Spread, spread

mpl.use("svg")
mpl.rcParams |= {
    "svg.hashsalt": "posstream",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
}

_OURS: Final = "#0f766e"
_OTHERS: Final = "#94a3b8"
#: One for each line; the last one is posstream's.
_LINES: Final = ("#94a3b8", "#d97706", _OURS)
_WIDTH: Final = 7.5


def bar_chart(path: Path, title: str, values: Mapping[str, Sequence[float]], *, ours: str) -> None:
    """Bars that lie, the longest on top, with the spread of their rounds; the axis is a logarithm.

    Args:
        path: the file.
        title: of the axis.
        values: by what is written beside the bar.
        ours: which of them is posstream's.
    """
    spreads = sorted(
        ((name, spread(rounds)) for name, rounds in values.items()),
        key=lambda named: named[1].middle,
    )
    chart = Figure(figsize=(_WIDTH, 0.36 * len(spreads) + 0.8), layout="constrained")
    axes = chart.subplots()
    names = [name for name, _ in spreads]
    axes.barh(
        names,
        [it.middle for _, it in spreads],
        xerr=_errors([it for _, it in spreads]),
        color=[_OURS if name == ours else _OTHERS for name in names],
        error_kw={"ecolor": "#334155", "elinewidth": 1},
    )
    for at, (_, it) in enumerate(spreads):
        axes.annotate(
            f" {it.middle:,.0f}",
            (it.most, at),
            va="center",
            xytext=(3, 0),
            textcoords="offset points",
        )
    axes.set_xscale("log")
    axes.margins(x=0.15)
    axes.set_xlabel(f"{title} (logarithmic)")
    _save(chart, path)


def line_chart(  # noqa: PLR0913 - a chart is all of this
    path: Path,
    titles: tuple[str, str],
    xs: Sequence[float],
    lines: Mapping[str, Sequence[Sequence[float]]],
    *,
    logarithms: str = "x",
    dashed: Sequence[str] = (),
) -> None:
    """Lines of medians, with the spread of their rounds as a shade.

    Args:
        path: the file.
        titles: of both axes.
        xs: where the points are.
        lines: by name, the rounds of each point; the last one is posstream's.
        logarithms: which axes are logarithms.
        dashed: names of lines that are limits.
    """
    chart = Figure(figsize=(_WIDTH, 3.4), layout="constrained")
    axes = chart.subplots()
    colors = _LINES[-len(lines) :]
    for (name, points), color in zip(lines.items(), colors, strict=True):
        spreads = [spread(rounds) for rounds in points]
        style = "--" if name in dashed else "-"
        axes.plot(xs, [it.middle for it in spreads], style, marker="o", color=color, label=name)
        axes.fill_between(
            xs,
            [it.least for it in spreads],
            [it.most for it in spreads],
            color=color,
            alpha=0.2,
            linewidth=0,
        )
    for axis in ("x", "y"):
        if axis in logarithms:
            axes.set(**{f"{axis}scale": "log"})
    if "y" not in logarithms:
        axes.set_ylim(bottom=0)
    axes.set_xticks(xs, [f"{x:,g}" for x in xs])
    axes.minorticks_off()
    axes.set(xlabel=titles[0], ylabel=titles[1])
    axes.grid(axis="y", color="#e2e8f0")
    if len(lines) > 1:
        axes.legend(frameon=False)
    _save(chart, path)


def _errors(spreads: Sequence[Spread]) -> list[list[float]]:
    return [
        [it.middle - it.least for it in spreads],
        [it.most - it.middle for it in spreads],
    ]


def _save(chart: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata: dict[str, Any] = {"Date": None}
    chart.savefig(path, metadata=metadata)
    # As editors leave text: matplotlib has blanks at the ends of lines.
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line.rstrip() for line in lines) + "\n")
