"""The internal topic of identifications that came under another key than their own. No I/O."""

from typing import Final

import msgspec

from agents.customer_lookup.answers import Identification
from agents.customer_lookup.topics import REKEYED
from posstream.domain.errors import DeadLetterReason, UnreadableEvent
from posstream.domain.identifier import is_normal
from posstream.domain.printable import is_id
from posstream.domain.times import clamp_ms
from posstream.events.fields import MAX_ID_LENGTH
from posstream.events.reading import read_object
from posstream.kafka.record import Record

_IDS: Final = ("lookup_id", "basket_id", "identifier", "refused", "traceparent")
_TIMES: Final = ("identified_at_ms", "deadline_ms", "taken_at_ms")


def rekeyed(asked: Identification, partition: int) -> Record:
    """An identification under its own key, for the partition that holds its cache entry.

    Only what was read is written: an unknown field could hold what must not be copied.
    """
    return Record(
        REKEYED, asked.identifier.encode(), msgspec.json.encode(asked), partition=partition
    )


def read_rekeyed(value: bytes | None) -> Identification:
    """Read one message as `rekeyed` wrote it.

    Raises:
        UnreadableEvent: if it is no record that posstream wrote.
    """
    fields = read_object(value)
    try:
        asked = msgspec.convert(fields, Identification)
    except msgspec.ValidationError:
        asked = None
    if asked is None or not _is_ours(asked):
        raise UnreadableEvent(DeadLetterReason.INVALID_FIELD, "not a record that posstream wrote")
    return asked


def _is_ours(asked: Identification) -> bool:
    ids = [text for name in _IDS if (text := getattr(asked, name)) is not None]
    times = [ms for name in _TIMES if (ms := getattr(asked, name)) is not None]
    return (
        asked.kind is not None
        and is_normal(asked.identifier)
        and all(is_id(text, MAX_ID_LENGTH) for text in ids)
        and times == list(map(clamp_ms, times))
    )
