"""Counts the answers and attempts of some time from their rows: the same on both databases."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Select,
    String,
    and_,
    case,
    func,
    literal_column,
    null,
    or_,
    select,
    union_all,
)

from agents.customer_lookup.read_model.gaps import Gap, statements, within_gaps
from agents.customer_lookup.read_model.schema import CUSTOMER_LOOKUP_LOGS, LOOKUP_ANSWERS
from agents.customer_lookup.read_model.tally import Tally
from agents.customer_lookup.reasons import AttemptStatus
from posstream.read_model.prepared import Prepared

_LOGS: Final = CUSTOMER_LOOKUP_LOGS.c
_ANSWERS: Final = LOOKUP_ANSWERS.c
#: The upper bound of time without an end. With an upper bound SQLite searches the index of the
#: times; without one it scans the whole table in the order of GROUP BY (60 minutes of 30 days with
#: 1,000,000 answers and as many attempts: 9 ms instead of 279).
NEVER: Final = datetime.max.replace(tzinfo=UTC)

_ANSWER, _ATTEMPT, _WAITED = range(3)
#: Of the bounds of a gap.
_NAMES: Final = "since", "until"

#: Reads the rows of a statement.
Read = Callable[[Prepared, Mapping[str, Any]], Awaitable[Sequence[Sequence[Any]]]]


async def add_rows(tally: Tally, read: Read, gaps: Sequence[Gap]) -> None:
    """Add what lies in some gaps, answers and attempts each by their own time."""
    ended = [(since, until or NEVER) for since, until in gaps]
    for values in statements(ended, _NAMES):
        for what, of, reason, duration_ms, count in await read(_ROWS_IN, values):
            if what == _ANSWER:
                tally.answers[of, reason] += count
            elif what == _ATTEMPT:
                tally.attempts[of] += count
                if duration_ms is not None:
                    tally.durations[duration_ms] += count
            elif of is None:
                tally.saved += int(count)
            else:
                tally.wait(of, int(count))


def _in_gaps(time: Column[Any]) -> ColumnElement[bool]:
    return within_gaps(time, _NAMES)


def _rows() -> Select[Any]:
    none, no_number = null().cast(String), null().cast(BigInteger)

    def row(what: int, of: Any, reason: Any, duration_ms: Any, count: Any) -> Select[Any]:
        named = {"of": of, "reason": reason, "duration_ms": duration_ms, "counted": count}
        columns = (value.label(name) for name, value in named.items())
        return select(literal_column(str(what)).label("what"), *columns)

    answers = row(_ANSWER, _ANSWERS.source, _ANSWERS.reason, no_number, func.count())
    attempts = row(_ATTEMPT, _LOGS.status, none, _LOGS.duration_ms, func.count())
    waiting = _waiting().subquery()
    found = union_all(
        answers.where(_in_gaps(_ANSWERS.occurred_at)).group_by(_ANSWERS.source, _ANSWERS.reason),
        attempts.where(_in_gaps(_LOGS.request_timestamp)).group_by(_LOGS.status, _LOGS.duration_ms),
        row(
            _WAITED, waiting.c.named, none, no_number, func.sum(waiting.c.waiters).cast(BigInteger)
        ).group_by(waiting.c.named),
    ).subquery()
    return select(*found.columns)


def _waiting() -> Select[Any]:
    """The calls that single flight saved.

    Each attempt records how many events were waiting; the highest number of a lookup is the number
    of calls that it saved. A lookup is named if it may have attempts at other times, too: not if
    its first attempt brought the answer. (If a worker was killed just then, another one asks once
    more, and those who waited for both may count twice.)
    """
    lookup_id = func.coalesce(_LOGS.lookup_id, _LOGS.event_id)
    # Not by `in_`, whose list a `Prepared` cannot have.
    is_final = or_(
        *(_LOGS.status == it.value for it in (AttemptStatus.SUCCESS, AttemptStatus.NOT_FOUND))
    )
    is_alone = and_(
        func.count() == 1,
        or_(
            func.max(_LOGS.lookup_id).is_(None),
            and_(
                func.max(_LOGS.attempt) == 1,
                func.max(case((is_final, 1), else_=0)) == 1,
            ),
        ),
    )
    return (
        select(
            case((is_alone, null()), else_=lookup_id).label("named"),
            func.max(_LOGS.waiters).label("waiters"),
        )
        .where(_in_gaps(_LOGS.request_timestamp), _LOGS.waiters > 0)
        .group_by(lookup_id)
    )


#: One statement, as each is a message to PostgreSQL.
_ROWS_IN: Final = Prepared(_rows())
