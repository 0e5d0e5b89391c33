"""The customer that a row names, and the moment since which the row's content was known."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from posstream.forgetting.marks import Trace
from posstream.read_model.stored_time import time_of

_Row = Mapping[str, Any]


def trace_of_answer(row: _Row) -> Trace:
    """The trace of a row of `lookup_answers`.

    A customer is as old as the directory's answer, by the worker's clock. A failure is as old as
    the moment at which a worker took the event: the call may have begun then, and the till's clock
    may be a year off.
    """
    if row["customer_id"] is not None:
        return Trace(row["customer_identifier"], row["customer_id"], _time(row["fetched_at"]))
    taken_at = _before(_time(row["occurred_at"]), row["duration_ms"] or 0)
    return Trace(row["customer_identifier"], None, taken_at)


def trace_of_attempt(row: _Row) -> Trace:
    """The trace of a row of `customer_lookup_logs`: as old as the call of the attempt."""
    began = row["call_started_at"] or row["request_timestamp"]
    asked_at = min(began, row["request_timestamp"])
    return Trace(row["customer_identifier"], row["customer_id"], _time(asked_at))


def _time(value: datetime | str) -> datetime:
    """A time of a row that was read, or that is to be written."""
    return value if isinstance(value, datetime) else time_of(value)


def _before(moment: datetime, milliseconds: int) -> datetime:
    try:
        return moment - timedelta(milliseconds=max(0, milliseconds))
    except OverflowError:
        return moment
