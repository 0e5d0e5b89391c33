"""Numbers as people read and type them; a dash for what is not known. Pure."""

from typing import Final

_NONE: Final = "-"
_LEAST: Final = 0.1
_TEN: Final = 10
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400


def whole(number: float | None) -> str:
    """A whole number: `12,345`."""
    return _NONE if number is None else f"{number:,.0f}"


def rate(number: float | None) -> str:
    """A number per second: `0`, `0.4`, `1,240`. A small rate is never shown as `0`."""
    if not number:
        return _NONE if number is None else "0"
    if number < _LEAST:
        return f"< {_LEAST}"
    return f"{number:,.0f}" if number >= _TEN else f"{number:.1f}"


def percent(ratio: float | None) -> str:
    """A share: `98.4 %`. Only all of it is shown as 100, and only nothing as 0."""
    if ratio is None:
        return _NONE
    if ratio in {0, 1}:
        return f"{ratio:.0%}".replace("%", " %")
    return f"{min(max(ratio * 100, 0.1), 99.9):.1f} %"


def duration_ms(milliseconds: float | None) -> str:
    """A duration: `14 ms`, `1.2 s`."""
    if milliseconds is None:
        return _NONE
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"  # noqa: PLR2004


def span(seconds: float) -> str:
    """A length of time: `0.05 s`, `90 s`, `5 min`, `1 h`, `1 day`."""
    for unit, name in ((_DAY, "day"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit and seconds % unit == 0:
            number = int(seconds // unit)
            return f"{number} {name}" + ("s" if name == "day" and number > 1 else "")
    return f"{seconds:g} s"


def read_whole(text: str, *, digits: int = 10) -> int | None:
    """The whole number that a text is; None if the text is none, or has more digits.

    A number of a million digits takes long to read.
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= digits else None
