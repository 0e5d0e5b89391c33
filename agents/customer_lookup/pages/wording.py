"""Answers, ages and offsets in the words of the console. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from agents.customer_lookup.read_model.records import AnswerRow
from agents.customer_lookup.reasons import AttemptStatus, Reason, Source

_SECOND: Final = 1_000
_MINUTE: Final = 60 * _SECOND
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
#: From this many of the larger unit on, the larger unit is used.
_MANY: Final = 2


@dataclass(frozen=True, slots=True)
class Tag:
    """A word or two with a tone of the style: good, warn, bad or none."""

    text: str
    tone: str = ""


_SOURCES: Final[Mapping[str, Tag]] = {
    Source.CACHE: Tag("cache", "good"),
    Source.API: Tag("API", "good"),
    Source.STALE_CACHE: Tag("stale cache", "warn"),
}
_ATTEMPT_TONES: Final[Mapping[str, str]] = {
    AttemptStatus.SUCCESS: "good",
    AttemptStatus.FAILED: "bad",
    AttemptStatus.TIMEOUT: "bad",
}


def tag_of(answer: AnswerRow) -> Tag:
    """Where an answer's customer came from, or why it has none."""
    if answer.reason == Reason.NOT_FOUND:
        return Tag("not found (remembered)" if answer.source == Source.CACHE else "not found")
    if answer.reason is not None:
        return Tag(answer.reason.lower().replace("_", " "), "bad")
    return _SOURCES.get(answer.source or "", Tag(answer.source or "found"))


def tone_of_attempt(status: str | None) -> str:
    """The tone of an attempt's status: good, bad or none."""
    return _ATTEMPT_TONES.get(status or "", "")


def age(milliseconds: int) -> str:
    """How old a customer's data is: `now`, `42 s`, `17 min`, `5 h`, `3 days`."""
    if milliseconds < _SECOND:
        return "now"
    for unit, name in ((_DAY, "days"), (_HOUR, "h"), (_MINUTE, "min")):
        if milliseconds >= _MANY * unit:
            return f"{milliseconds // unit} {name}"
    return f"{milliseconds // _SECOND} s"


def offset(milliseconds: int) -> str:
    """How long after the start: `+1,042 ms`, `+17 min 5 s`, `+5 h`; `-3 ms` before it."""
    sign, length = "-" if milliseconds < 0 else "+", abs(milliseconds)
    if length < _MINUTE:
        return f"{sign}{length:,} ms"
    if length < _MANY * _HOUR:
        minutes, seconds = divmod(length // _SECOND, 60)
        return f"{sign}{minutes} min {seconds} s"
    return f"{sign}{age(length)}"
