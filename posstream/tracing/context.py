"""The trace context in the headers of a record (W3C Trace Context, section 3.2)."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from posstream.domain.payment_card import holds_payment_card

HEADER: Final = "traceparent"
_TRACEPARENT: Final = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
#: The last digits of flags whose lowest bit, `sampled`, is set.
_ODD: Final = b"13579bdf"


def traceparent(headers: Iterable[tuple[str, bytes]]) -> str | None:
    """The trace context in the headers; None if it is absent, malformed or holds a card."""
    for name, value in headers:
        if name == HEADER and value and _TRACEPARENT.fullmatch(value):
            text = value.decode()
            return None if holds_payment_card(text) else text
    return None


def with_context(
    headers: Iterable[tuple[str, bytes]], traceparent: str | None
) -> list[tuple[str, bytes]]:
    """Headers, and the trace context if there is one."""
    handed_on = () if traceparent is None else ((HEADER, traceparent.encode()),)
    return [*headers, *handed_on]


def trace_id(traceparent: str | None) -> str | None:
    """The trace id in a trace context."""
    return None if traceparent is None else traceparent.split("-")[1]


def sampled(records: Iterable[Any]) -> Sequence[str]:
    """The trace contexts of aiokafka's records, if the trace is recorded."""
    found = []
    for record in records:
        for name, value in record.headers:
            if name == HEADER and value and value[-1] in _ODD:
                if (context := traceparent([(name, value)])) is not None:
                    found.append(context)
                break
    return found
