"""Kafka headers of events: CloudEvents 1.0, trace context, and when a message was first written."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

import msgspec

from posstream.domain.times import iso_utc_ms
from posstream.kafka.record import Record
from posstream.tracing.context import with_context

#: On a dead letter and its replay: when the message was first written, in milliseconds since 1970.
FIRST_WRITTEN: Final = "posstream.dlq.timestamp"
#: Digits of the longest time that is read from a header.
_MOST_DIGITS: Final = 18
_SPEC_VERSION: Final = ("ce_specversion", b"1.0")
_encode: Final = msgspec.json.Encoder().encode

Headers = Iterable[tuple[str, bytes]]


def first_written_ms(headers: Headers) -> int | None:
    """When a replayed message was first written, in ms since 1970; None for any other message."""
    for name, value in headers:
        if name == FIRST_WRITTEN and value and value.isdigit() and len(value) <= _MOST_DIGITS:
            return int(value)
    return None


def written_ms(timestamp_ms: int, headers: Headers) -> int:
    """When a message was written, in ms since 1970; a replayed one, when it was first written.

    Anybody can write a header. One that says a later time than the broker's would make all that
    comes after its message seem to be old.
    """
    first = first_written_ms(headers)
    return timestamp_ms if first is None else min(first, timestamp_ms)


def event_record(  # noqa: PLR0913 - one place that knows how CloudEvents ride on Kafka headers
    topic: str,
    subject: str,
    event: Any,
    now_ms: int,
    traceparent: str | None = None,
    *,
    source: bytes,
    key: str | None = None,
) -> Record:
    """An event, a `Struct` with event_id and event_type, as a record.

    CloudEvents attributes and the trace context are its headers, and its key is the subject unless
    another one is given.
    """
    headers = ce_headers(event.event_id, event.event_type, now_ms, subject, source=source)
    if traceparent is not None:
        headers = with_context(headers, traceparent)
    return Record(topic, (key or subject).encode(), _encode(event), headers)


def ce_headers(
    event_id: str, event_type: str, now_ms: int, subject: str, *, source: bytes
) -> list[tuple[str, bytes]]:
    """The CloudEvents attributes of a record (Kafka protocol binding, binary mode)."""
    return [
        _SPEC_VERSION,
        ("ce_id", event_id.encode()),
        ("ce_source", source),
        ("ce_type", event_type.encode()),
        _ce_time(now_ms),
        ("ce_subject", subject.encode()),
    ]


@lru_cache(maxsize=64)  # all records that come of one list have one time
def _ce_time(now_ms: int) -> tuple[str, bytes]:
    return "ce_time", iso_utc_ms(now_ms).encode()
