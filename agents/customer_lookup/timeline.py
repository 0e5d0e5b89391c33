"""Why a till got its answer: one timeline of a basket, from what the read model kept. Pure.

Entries are ordered by cause, not by time, because the times come from the clocks of tills, workers
and the broker. Identifiers in titles and details are masked; `raw` has the record as it was
written.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from agents.customer_lookup.read_model.records import (
    AnswerRow,
    BasketHistory,
    BasketRow,
    CustomerRow,
    LookupLogRow,
)
from agents.customer_lookup.reasons import Reason, Source
from posstream.domain.payment_card import mask
from posstream.domain.times import iso_utc
from posstream.json.sent_number import SentNumber


class Step(StrEnum):
    """What an entry of a timeline is about."""

    STARTED = "STARTED"
    IDENTIFIED = "IDENTIFIED"
    NORMALISED = "NORMALISED"
    CACHE = "CACHE"
    BREAKER = "BREAKER"
    NO_CALL = "NO_CALL"
    SHARED_CALL = "SHARED_CALL"
    ATTEMPT = "ATTEMPT"
    ANSWERED = "ANSWERED"
    STORED = "STORED"


@dataclass(frozen=True, slots=True)
class Entry:
    """One step on the way to an answer."""

    #: None if the time is unknown.
    at: datetime | None
    step: Step
    title: str
    #: Names and values for people, in the order to show them in.
    detail: Sequence[tuple[str, str]]
    #: What the entry was read from.
    record: BasketRow | AnswerRow | LookupLogRow | CustomerRow | None = None
    #: The identifier that stands masked in the detail `identifier`.
    identifier: str | None = None

    @property
    def raw(self) -> Mapping[str, Any] | None:
        """The record, ready for JSON: fields as on the topics, times as the contract has them."""
        if self.record is None:
            return None
        return {name: _plain(value) for name, value in dataclasses.asdict(self.record).items()}


_KINDS: Final = {"PHONE": "a phone number", "EMAIL": "an e-mail address", "CARD": "a loyalty card"}
_NEVER_LOOKED_UP: Final = frozenset({Reason.INVALID_IDENTIFIER, Reason.DISABLED})
_ANSWERED_FROM: Final[Mapping[str | None, str]] = {
    Source.CACHE: "Answered from the cache",
    Source.API: "Answered by the directory",
    Source.STALE_CACHE: "Answered from the stale window of the cache",
}
_HELD_BACK: Final[Mapping[str | None, tuple[Step, str]]] = {
    Reason.CIRCUIT_OPEN: (Step.BREAKER, "The circuit breaker was open: no call"),
    Reason.OVERLOADED: (Step.NO_CALL, "No call: more waited than could be served in time"),
    Reason.DEADLINE: (Step.NO_CALL, "No call ended before the deadline"),
}
#: A stale answer does not say which of the three it was.
_HELD_BACK_STALE: Final = (
    Step.NO_CALL,
    "No call ended: the breaker was open, too many waited, or time was up",
)


def timeline(history: BasketHistory) -> list[Entry]:
    """The steps of a basket: its start, each lookup from scan to answer, and what is stored."""
    entries = list(_start(history.basket))
    answered = {answer.lookup_id for answer in history.answers} - {None}
    for answer in history.answers:
        own = [
            log
            for log in history.attempts
            if log.lookup_id in answered and log.lookup_id == answer.lookup_id
        ]
        entries += _lookup(answer, own, history.origins)
    # Not answered yet, or the answer is still on its way to the read model.
    entries += [_attempt(log) for log in history.attempts if log.lookup_id not in answered]
    entries += _stored(history.basket, history.customer)
    return entries


def _start(basket: BasketRow | None) -> Iterator[Entry]:
    if basket is not None and basket.employee_id is not None:
        detail = _detail(employee=basket.employee_id, terminal=basket.terminal_id)
        yield Entry(basket.started_at, Step.STARTED, "The basket was started", detail, basket)


def _lookup(
    answer: AnswerRow, own: Sequence[LookupLogRow], origins: Sequence[LookupLogRow]
) -> Iterator[Entry]:
    """One scan: what it was, what was tried, and the answer."""
    detail = _detail(identifier=mask(answer.customer_identifier), lookup_id=answer.lookup_id)
    yield Entry(
        answer.identified_at,
        Step.IDENTIFIED,
        "A customer was identified",
        detail,
        identifier=answer.customer_identifier,
    )
    yield _normalised(answer)
    origin = _origin(answer, origins)
    if answer.reason not in _NEVER_LOOKED_UP:
        yield _cache(answer, origin)
        yield from _held_back(answer, own)
        yield from _shared(answer, own, origin)
    # A call may outlive the deadline of its lookup.
    yield from (_attempt(log) for log in own if log.request_timestamp <= answer.occurred_at)
    yield _answered(answer)
    yield from (_attempt(log) for log in own if log.request_timestamp > answer.occurred_at)


def _normalised(answer: AnswerRow) -> Entry:
    at = _taken_at(answer)
    if answer.reason == Reason.INVALID_IDENTIFIER:
        return Entry(
            at, Step.NORMALISED, "The identifier was refused", _detail(why=answer.error_message)
        )
    kind = _KINDS.get(answer.identifier_kind or "", "an identifier")
    return Entry(at, Step.NORMALISED, f"Read as {kind}", _detail(kind=answer.identifier_kind))


def _cache(answer: AnswerRow, origin: LookupLogRow | None) -> Entry:
    found = answer.reason is None
    if answer.source == Source.CACHE:
        title = "Fresh in the cache" if found else "Remembered in the cache as unknown"
    elif answer.source == Source.STALE_CACHE:
        title = "In the cache, but no longer fresh"
    elif answer.source == Source.API:
        title = "Nothing fresh in the cache"
    else:
        title = "Nothing in the cache that could be served"
    cached = answer.source in {Source.CACHE, Source.STALE_CACHE} and found
    detail = _detail(
        age=_seconds(answer.age_ms),
        fetched_at=iso_utc(answer.fetched_at),
        fresh_until=iso_utc(answer.fresh_until),
        fetched_for_basket=None if origin is None else origin.basket_id,
    )
    return Entry(_taken_at(answer), Step.CACHE, title, detail if cached else ())


def _held_back(answer: AnswerRow, own: Sequence[LookupLogRow]) -> Iterator[Entry]:
    """Why there was no call although one was due."""
    if own or answer.attempts:
        return
    stale = _HELD_BACK_STALE if answer.source == Source.STALE_CACHE else None
    held = _HELD_BACK.get(answer.reason, stale)
    if held is not None:
        step, title = held
        yield Entry(answer.occurred_at, step, title, _detail(message=answer.error_message))


def _shared(
    answer: AnswerRow, own: Sequence[LookupLogRow], origin: LookupLogRow | None
) -> Iterator[Entry]:
    """The call of another basket that this one waited for (single flight)."""
    if own or not answer.attempts:
        return
    title = "Shared a call that was already under way"
    if origin is None or answer.source != Source.API:
        detail = _detail(attempts=answer.attempts)
        yield Entry(_taken_at(answer), Step.SHARED_CALL, title, detail)
        return
    detail = _detail(attempts=answer.attempts, call_of_basket=origin.basket_id)
    yield Entry(origin.request_timestamp, Step.SHARED_CALL, title, detail)
    yield _attempt(origin)


def _attempt(log: LookupLogRow) -> Entry:
    detail = _detail(
        duration=_milliseconds(log.duration_ms),
        http_status=log.http_status,
        endpoint=log.api_endpoint,
        error=log.error_message,
        waiters=log.waiters or None,
        event_id=log.event_id,
    )
    title = f"Attempt {log.attempt or '?'}: {log.status or 'unknown'}"
    return Entry(log.request_timestamp, Step.ATTEMPT, title, detail, log)


def _answered(answer: AnswerRow) -> Entry:
    title = _ANSWERED_FROM.get(answer.source, "Answered")
    if answer.reason is not None:
        title = f"Answered without a customer: {answer.reason}"
    detail = _detail(
        customer_id=answer.customer_id,
        source=answer.source,
        reason=answer.reason,
        message=answer.error_message,
        age=_seconds(answer.age_ms),
        duration=_milliseconds(answer.duration_ms),
        attempts=answer.attempts,
        configuration_version=answer.config_version,
        event_id=answer.event_id,
    )
    return Entry(answer.occurred_at, Step.ANSWERED, title, detail, answer)


def _stored(basket: BasketRow | None, customer: CustomerRow | None) -> Iterator[Entry]:
    if basket is None or basket.customer_id is None:
        return
    detail = _detail(
        customer_id=basket.customer_id,
        tier=None if customer is None else customer.tier,
        updated_at=None if customer is None else iso_utc(customer.updated_at),
    )
    title = "The basket has its customer in SQL"
    yield Entry(basket.identified_at, Step.STORED, title, detail, customer or basket)


def _origin(answer: AnswerRow, origins: Sequence[LookupLogRow]) -> LookupLogRow | None:
    """The attempt that brought this answer's customer, if it is still known."""
    call = (answer.customer_identifier, answer.fetched_at)
    made = (log for log in origins if (log.customer_identifier, log.request_timestamp) == call)
    return next(made, None)


def _taken_at(answer: AnswerRow) -> datetime:
    """When a worker took the event: the time of the answer less its duration."""
    try:
        return answer.occurred_at - timedelta(milliseconds=answer.duration_ms or 0)
    except OverflowError:
        return answer.occurred_at


def _detail(**values: str | int | None) -> Sequence[tuple[str, str]]:
    return tuple(
        (name.replace("_", " "), str(value)) for name, value in values.items() if value is not None
    )


def _milliseconds(duration_ms: int | None) -> str | None:
    return None if duration_ms is None else f"{duration_ms} ms"


def _seconds(duration_ms: int | None) -> str | None:
    return None if duration_ms is None else f"{duration_ms / 1000:.1f} s"


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso_utc(value)
    if isinstance(value, tuple):
        return list(value)
    # Money: a float would lose cents.
    is_json = isinstance(value, int | float | dict | list | SentNumber | None)
    return value if is_json else str(value)
