"""Numbers as the points of small drawings in SVG. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

#: The size of the drawing, in its own units; the page stretches it.
WIDTH: Final = 300.0
HEIGHT: Final = 40.0


@dataclass(frozen=True, slots=True)
class Sparkline:
    """A line to draw, and the number that its text alternative says."""

    #: `x,y x,y …` of an SVG polyline, the newest one at the right edge; empty without numbers.
    points: str
    #: The same closed along the ground.
    area: str
    highest: float

    @property
    def size(self) -> str:
        """The `viewBox`."""
        return f"0 0 {WIDTH:g} {HEIGHT:g}"


def sparkline(numbers: Sequence[float | None], *, most: int, top: float | None = None) -> Sparkline:
    """Draw numbers, oldest first.

    Args:
        numbers: at most `most`; None where nothing is known, which is passed over.
        most: how many fill the whole width; fewer begin further right.
        top: the number at the upper edge, if it is not the highest one.
    """
    known = [number for number in numbers if number is not None]
    highest = max(known, default=0.0)
    scale = top or highest or 1.0
    step = WIDTH / max(most - 1, 1)
    left = WIDTH - step * (len(numbers) - 1)
    places = [
        # A line on the very edge would be cut in half.
        (left + step * index, HEIGHT - 1 - min(number / scale, 1) * (HEIGHT - 2))
        for index, number in enumerate(numbers)
        if number is not None
    ]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    if not places:
        return Sparkline("", "", highest)
    ground = f"{places[-1][0]:.1f},{HEIGHT:g} {places[0][0]:.1f},{HEIGHT:g}"
    return Sparkline(points, f"{points} {ground}", highest)
