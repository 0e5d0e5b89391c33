"""The answer that every contestant writes, as cheaply as Python makes it.

The same fields, ids and headers as posstream's `customer-data-fetched`. What does not change from
one event to the next is made once: the time for each fetch, the windows for each customer.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha1
from typing import Any, Final

import orjson

from posstream.domain.times import iso_utc_ms
from posstream.events.ids import _NAMESPACE

FRESH_MS: Final = 3_600_000
_VALUE: Final = (
    b'{"event_id":"%b","event_type":"CUSTOMER_DATA_FETCHED","schema_version":1,'
    b'"occurred_at":"%b","lookup_id":"%b","basket_id":%b,"customer_identifier":%b,'
    b'"identifier_kind":"CARD","identified_at":%b,"source":"%b","attempts":%d,'
    b'"duration_ms":%d,"config_version":0,%b,"age_ms":%d,"customer":%b}'
)
_BARE: Final = b'{"basket_id":%b,"customer":%b}'
_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
_ROOT: Final = _NAMESPACE.bytes
_SPECVERSION: Final = ("ce_specversion", b"1.0")
_SOURCE: Final = ("ce_source", b"/posstream/customer-lookup")
_TYPE: Final = ("ce_type", b"CUSTOMER_DATA_FETCHED")

Headers = list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Known:
    """A customer in a contestant's cache."""

    document: bytes
    fetched_at_ms: int
    #: `fetched_at` and `fresh_until` as an answer has them.
    times: bytes

    @classmethod
    def of(cls, document: bytes, fetched_at_ms: int | None = None) -> "Known":
        """A customer who was fetched then, or now."""
        at = now_ms() if fetched_at_ms is None else fetched_at_ms
        times = f'"fetched_at":"{iso_utc_ms(at)}","fresh_until":"{iso_utc_ms(at + FRESH_MS)}"'
        return cls(document, at, times.encode())

    @property
    def is_fresh(self) -> bool:
        """Whether it may be served without a call."""
        return now_ms() < self.fetched_at_ms + FRESH_MS


class Moment:
    """Answers of one moment: of one fetch, or one event."""

    __slots__ = ("_iso", "_now_ms", "_time_header")

    def __init__(self) -> None:
        self._now_ms = now_ms()
        self._iso = iso_utc_ms(self._now_ms).encode()
        self._time_header = ("ce_time", self._iso)

    def full(
        self, event: Mapping[str, Any], known: Known, *, duration_ms: int | None = None
    ) -> tuple[bytes, bytes, Headers]:
        """Key, value and headers of an answer.

        Args:
            event: as it was read, with an event_id.
            known: whose it is.
            duration_ms: how long the call took, if there was one.
        """
        lookup_id = derived(event["event_id"])
        event_id = derived(f"{lookup_id}/answer").encode()
        key = event["basket_id"].encode()
        value = _VALUE % (
            event_id,
            self._iso,
            lookup_id.encode(),
            orjson.dumps(event["basket_id"]),
            orjson.dumps(event["customer_identifier"]),
            orjson.dumps(event["occurred_at"]),
            b"CACHE" if duration_ms is None else b"API",
            0 if duration_ms is None else 1,
            duration_ms or 0,
            known.times,
            max(0, self._now_ms - known.fetched_at_ms),
            known.document,
        )
        headers = [
            _SPECVERSION,
            ("ce_id", event_id),
            _SOURCE,
            _TYPE,
            self._time_header,
            ("ce_subject", key),
        ]
        return key, value, headers


def record(
    event: Mapping[str, Any],
    customer: Mapping[str, Any],
    fetched_at_ms: int,
    *,
    duration_ms: int | None = None,
) -> dict[str, Any]:
    """The same answer as one writes it where speed is the framework's business: a dict.

    Args:
        event: as it was read, with an event_id.
        customer: decoded.
        fetched_at_ms: when the directory told of the customer.
        duration_ms: how long the call took, if there was one.
    """
    answered_at_ms = now_ms()
    lookup_id = derived(event["event_id"])
    return {
        "event_id": derived(f"{lookup_id}/answer"),
        "event_type": "CUSTOMER_DATA_FETCHED",
        "schema_version": 1,
        "occurred_at": iso_utc_ms(answered_at_ms),
        "lookup_id": lookup_id,
        "basket_id": event["basket_id"],
        "customer_identifier": event["customer_identifier"],
        "identifier_kind": "CARD",
        "identified_at": event["occurred_at"],
        "source": "CACHE" if duration_ms is None else "API",
        "attempts": 0 if duration_ms is None else 1,
        "duration_ms": duration_ms or 0,
        "config_version": 0,
        "fetched_at": iso_utc_ms(fetched_at_ms),
        "fresh_until": iso_utc_ms(fetched_at_ms + FRESH_MS),
        "age_ms": max(0, answered_at_ms - fetched_at_ms),
        "customer": customer,
    }


def headers_of(answer: Mapping[str, Any]) -> Headers:
    """The headers of such an answer."""
    return [
        _SPECVERSION,
        ("ce_id", answer["event_id"].encode()),
        _SOURCE,
        _TYPE,
        ("ce_time", answer["occurred_at"].encode()),
        ("ce_subject", answer["basket_id"].encode()),
    ]


def now_ms() -> int:
    """Wall time."""
    return time.time_ns() // 1_000_000


def bare(event: Mapping[str, Any], known: Known) -> tuple[bytes, bytes]:
    """Key and value of an answer that only has the basket and the customer."""
    basket_id = event["basket_id"]
    return basket_id.encode(), _BARE % (orjson.dumps(basket_id), known.document)


def derived(name: str) -> str:
    """A UUID of version 5 as posstream derives its ids, in a third of the time of `uuid.uuid5`."""
    it = sha1(_ROOT + name.encode(), usedforsecurity=False).hexdigest()
    return f"{it[:8]}-{it[8:12]}-5{it[13:16]}-{_VARIANT[it[16]]}{it[17:20]}-{it[20:32]}"
