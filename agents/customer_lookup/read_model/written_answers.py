"""Reads a `customer-data-fetched` as posstream writes one into the row that it becomes.

The row is that of `rows.answer_row` (`tests/component/test_sql_projection.py` compares them), in a
fifth of the time. Any other event is left to that function.
"""

from collections.abc import Callable
from typing import Annotated, Final, Literal

import msgspec

from agents.customer_lookup.read_model.fields import Row
from agents.customer_lookup.read_model.told import Told, told_by
from posstream.read_model.columns import MAX_TEXT
from posstream.read_model.stored_time import stored_from_json

_Key = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT)]
_Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
#: A longer event may nest deeper than can be written again.
_MOST_BYTES: Final = 4096


class _Written(msgspec.Struct, gc=False):
    event_type: Literal["CUSTOMER_DATA_FETCHED"]
    event_id: _Key
    lookup_id: _Text
    basket_id: _Key
    customer_identifier: _Key
    identifier_kind: _Text
    identified_at: str
    source: _Text
    attempts: _Count
    duration_ms: _Count
    age_ms: _Count
    config_version: _Count
    fetched_at: str
    fresh_until: str
    occurred_at: str
    customer: msgspec.Raw


class FoundAnswer(msgspec.Struct, gc=False):
    """The row that an answer with a customer becomes, and the JSON of that customer."""

    #: Of `lookup_answers`, but for `customer_id`.
    row: Row
    document: bytes

    @property
    def told(self) -> Told:
        """What the answer says about the customer."""
        return told_by(self.row, self.document)


_decode: Final[Callable[[bytes], _Written]] = msgspec.json.Decoder(_Written).decode


def read_found(text: bytes) -> FoundAnswer | None:
    """Read an answer with a customer; None for any that posstream would not write like this."""
    if len(text) > _MOST_BYTES:
        return None
    try:
        text.decode()  # msgspec does not look at texts of unknown fields
        event = _decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    texts = (
        f"{event.event_id}{event.lookup_id}{event.basket_id}{event.customer_identifier}"
        f"{event.identifier_kind}{event.source}"
    )
    moments = (
        stored_from_json(event.fetched_at),
        stored_from_json(event.fresh_until),
        stored_from_json(event.identified_at),
        stored_from_json(event.occurred_at),
    )
    # A blank may be a whole id, which counts as none.
    if not (texts.isascii() and texts.isprintable()) or " " in texts or None in moments:
        return None
    fetched_at, fresh_until, identified_at, occurred_at = moments
    return FoundAnswer(
        {
            "event_id": event.event_id,
            "lookup_id": event.lookup_id,
            "event_type": event.event_type,
            "basket_id": event.basket_id,
            "customer_identifier": event.customer_identifier,
            "identifier_kind": event.identifier_kind,
            "source": event.source,
            "reason": None,
            "error_message": None,
            "attempts": event.attempts,
            "duration_ms": event.duration_ms,
            "age_ms": event.age_ms,
            "config_version": event.config_version,
            "fetched_at": fetched_at,
            "fresh_until": fresh_until,
            "identified_at": identified_at,
            "occurred_at": occurred_at,
        },
        bytes(event.customer),
    )
