"""The record of a forgotten subject on its topic: written and read. No I/O."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from posstream.domain.printable import is_id
from posstream.domain.times import iso_utc_ms, parse_utc
from posstream.events.envelope import event_record
from posstream.events.fields import Count, DerivedId, SchemaVersion, Time
from posstream.events.ids import derived
from posstream.forgetting.marks import Forgotten
from posstream.kafka.record import Record
from posstream.kafka.topics import CUSTOMER_FORGOTTEN

_MAX_SUBJECT: Final = 256


class CustomerForgotten(Struct, frozen=True, kw_only=True):
    """The mark of a forgotten identifier or customer."""

    event_id: DerivedId
    event_type: Literal["CUSTOMER_FORGOTTEN"] = "CUSTOMER_FORGOTTEN"
    schema_version: SchemaVersion = 1
    subject: Annotated[str, Meta(description="A SHA-256 in 64 hexadecimal digits.")]
    forgotten_at: Time
    cache_entries: Annotated[Count, Meta(description="How many were removed, 0 or 1.")]


def forgotten(mark: Forgotten) -> Record:
    """The mark of a forgotten identifier or customer; of one subject the last one counts."""
    event = CustomerForgotten(
        event_id=derived(f"forgotten/{mark.subject}/{mark.forgotten_at_ms}"),
        subject=mark.subject,
        forgotten_at=iso_utc_ms(mark.forgotten_at_ms),
        cache_entries=mark.cache_entries,
    )
    return event_record(
        CUSTOMER_FORGOTTEN,
        mark.subject,
        event,
        mark.forgotten_at_ms,
        source=b"/posstream/forgetting",
    )


def read_mark(value: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The row of a mark: subject, forgotten_at, cache_entries; None if the value is no mark."""
    subject, forgotten_at = value.get("subject"), parse_utc(value.get("forgotten_at"))
    if not isinstance(subject, str) or not is_id(subject, _MAX_SUBJECT) or forgotten_at is None:
        return None
    entries = value.get("cache_entries")
    return {
        "subject": subject,
        "forgotten_at": forgotten_at,
        "cache_entries": entries if type(entries) is int and 0 <= entries <= 1 else 0,
    }
