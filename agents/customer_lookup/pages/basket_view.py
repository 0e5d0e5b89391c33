"""The timeline of a basket, laid out for its page: steps, offsets, and bars for attempts. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from agents.customer_lookup.pages.wording import Tag, offset, tag_of, tone_of_attempt
from agents.customer_lookup.read_model.records import AnswerRow, BasketHistory, LookupLogRow
from agents.customer_lookup.shown_records import show_detail, show_record
from agents.customer_lookup.timeline import Entry, Step, timeline
from posstream.domain.times import to_ms
from posstream.json.writing import write_json
from web.access.reveals import Reveals

#: Steps whose time comes from a till's clock or from the read model, not from a worker.
_ELSEWHERE: Final = frozenset({Step.STARTED, Step.IDENTIFIED, Step.STORED})
_TONES: Final = {Step.BREAKER: "bad", Step.NO_CALL: "bad", Step.STORED: "good"}
#: Details of an attempt that its bar, its tag and its record show.
_SAID_ELSEWHERE: Final = frozenset({"duration", "http status", "event id"})
_HTTP_OK: Final = range(200, 300)
#: The length of the whole bar in units, and the least length of a part, so that it can be seen.
_LENGTH: Final = 1000.0
_LEAST: Final = 6.0


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of the time of a lookup, in units of which the whole has 1000."""

    start: float
    length: float
    #: The same in words.
    words: str


@dataclass(frozen=True, slots=True)
class StepView:
    """One step as the page shows it."""

    entry: Entry
    #: Since the start of the basket; empty without a time.
    offset: str
    tone: str
    detail: Sequence[tuple[str, str]]
    bar: Bar | None
    #: What came back, in a word: `200`, `no response`.
    tag: Tag | None
    #: JSON, indented; None without a record.
    raw: str | None


def basket_view(history: BasketHistory, reveals: Reveals) -> dict[str, object]:
    """Lay out what is known of a basket: all that its page shows.

    Args:
        history: from the read model.
        reveals: what identifiers are shown with.
    """
    entries = timeline(history)
    start = min((entry.at for entry in entries if entry.at is not None), default=None)
    steps = []
    for part in _scans(entries):
        spanned = _span(part)
        steps += [_step(entry, start, spanned, reveals) for entry in part]
    newest = history.answers[-1] if history.answers else None
    return {
        "history": history,
        "steps": steps,
        "answer": newest,
        "tag": None if newest is None else tag_of(newest),
        # From scan to answer, by two clocks.
        "waited_ms": None if newest is None else _ms(newest.identified_at, newest.occurred_at),
    }


def _scans(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """The steps of each scan together; what came before the first one, too."""
    part: list[Entry] = []
    for entry in entries:
        if entry.step is Step.IDENTIFIED and part:
            yield part
            part = []
        part.append(entry)
    yield part


def _span(part: Sequence[Entry]) -> tuple[datetime, datetime] | None:
    """From the first to the last moment of a lookup; None if nothing in it took time."""
    moments = [entry.at for entry in part if entry.at and entry.step not in _ELSEWHERE]
    moments += [_end(entry.record) for entry in part if isinstance(entry.record, LookupLogRow)]
    if not moments or min(moments) == max(moments):
        return None
    return min(moments), max(moments)


def _step(
    entry: Entry,
    start: datetime | None,
    spanned: tuple[datetime, datetime] | None,
    reveals: Reveals,
) -> StepView:
    attempt = entry.record if isinstance(entry.record, LookupLogRow) else None
    bar = None if attempt is None or spanned is None else _bar(attempt, *spanned)
    detail = [
        (name, value)
        for name, value in show_detail(reveals, entry)
        if name not in (_SAID_ELSEWHERE if bar else ())
    ]
    raw = show_record(reveals, entry.raw)
    return StepView(
        entry=entry,
        offset="" if entry.at is None or start is None else offset(_ms(start, entry.at)),
        tone=_tone(entry),
        detail=detail,
        bar=bar,
        tag=None if attempt is None else _response(attempt),
        raw=None if raw is None else write_json(raw, indented=True).decode(),
    )


def _tone(entry: Entry) -> str:
    if isinstance(entry.record, LookupLogRow):
        return tone_of_attempt(entry.record.status)
    if entry.step is Step.ANSWERED and isinstance(entry.record, AnswerRow):
        return tag_of(entry.record).tone
    return _TONES.get(entry.step, "")


def _bar(attempt: LookupLogRow, start: datetime, end: datetime) -> Bar:
    whole = (end - start) / timedelta(milliseconds=1)
    began = (attempt.request_timestamp - start) / timedelta(milliseconds=1)
    took = (_end(attempt) - attempt.request_timestamp) / timedelta(milliseconds=1)
    length = max(_LENGTH * took / whole, _LEAST)
    return Bar(
        start=round(min(_LENGTH * began / whole, _LENGTH - length), 1),
        length=round(length, 1),
        words=f"{took:,.0f} of {whole:,.0f} ms",
    )


def _end(attempt: LookupLogRow) -> datetime:
    return attempt.request_timestamp + timedelta(milliseconds=max(attempt.duration_ms or 0, 0))


def _response(attempt: LookupLogRow) -> Tag:
    if attempt.http_status is None:
        return Tag("no response", "bad")
    return Tag(
        f"HTTP {attempt.http_status}",
        "good" if attempt.http_status in _HTTP_OK else tone_of_attempt(attempt.status),
    )


def _ms(start: datetime, end: datetime) -> int:
    return to_ms(end) - to_ms(start)
