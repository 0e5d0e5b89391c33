"""A line over time with an axis, what each point says, and marks of what happened. Pure.

The template `drawing.html` draws it; the script shows what a point says, by hover, touch and keys.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from web.console.drawing import WIDTH, Sparkline, sparkline

#: The least width of a mark that has a length, in the units of the drawing.
_LEAST_WIDTH: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened, to be marked in charts and told below them."""

    at: datetime
    #: None: it happened at a moment.
    until: datetime | None = None
    words: str
    #: The page about it; empty: there is none that everybody may open.
    link: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """An event's place in the drawing."""

    x: float
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What is drawn, and what is said about it."""

    #: The id of its elements, which no other chart of the page has.
    name: str
    line: Sparkline
    #: A second line below the first one, filled; None: there is none.
    part: Sparkline | None
    #: The number at the upper edge, in words.
    top: str
    #: The time of the first place, and of the last one.
    begins: datetime
    ends: datetime
    #: How many points fill the whole width.
    most: int
    #: What each point says, oldest first; the last one is at the right edge.
    said: Sequence[str]
    marks: Sequence[Mark] = ()

    @property
    def step_ms(self) -> int:
        """The time from one place to the next."""
        return round((self.ends - self.begins) / timedelta(milliseconds=1) / max(self.most - 1, 1))


def chart(  # noqa: PLR0913 - what it shows
    name: str,
    numbers: Sequence[float | None],
    *,
    most: int,
    ends: datetime,
    step: timedelta,
    say: Callable[[float | None], str],
    unit: str = "",
    part: tuple[Sequence[float | None], str] | None = None,
    top: float | None = None,
    events: Sequence[Event] = (),
) -> Chart:
    """A chart of numbers, oldest first.

    Args:
        name: of the chart on its page.
        numbers: at most `most`; None where nothing is known.
        most: how many fill the whole width; fewer begin further right.
        ends: the time of the last number.
        step: from one number to the next.
        say: a number in words.
        unit: said after each number.
        part: numbers that are a part of the others, and how they are called.
        top: the number at the upper edge, if it is not the highest one.
        events: what happened up to now; those before the chart are left out.
    """
    line = sparkline(numbers, most=most, top=top)
    upper = top or line.highest
    begins = ends - step * (most - 1)
    said = [f"{say(number)}{unit}" for number in numbers]
    drawn = None
    if part is not None:
        parts, called = part
        drawn = sparkline(parts, most=most, top=upper or None)
        said = [
            f"{text}, {say(number)} {called}" if number else text
            for text, number in zip(said, parts, strict=True)
        ]
    return Chart(
        name=name,
        line=line,
        part=drawn,
        top=f"{say(upper)}{unit}",
        begins=begins,
        ends=ends,
        most=most,
        said=said,
        marks=[_mark(it, begins, ends) for it in events if _end(it) >= begins],
    )


def _end(event: Event) -> datetime:
    return event.until or event.at


def _mark(event: Event, begins: datetime, ends: datetime) -> Mark:
    first, last = (
        WIDTH * ((min(max(it, begins), ends) - begins) / (ends - begins))
        for it in (event.at, _end(event))
    )
    width = max(last - first, _LEAST_WIDTH)
    return Mark(min(first, WIDTH - width), width)
