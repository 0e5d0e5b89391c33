"""The types of fields that events share: what each one accepts, and its JSON Schema. No I/O.

A type's `msgspec.Meta` describes it once, for the reader, the JSON Schema and the documentation.
`extra` holds what msgspec has no word for:

- `must_be`: how the refusal of a value goes on after "must be".
- `check`: a function that a value of the right type must pass.
- `guarded`: the field must hold no payment-card number while the guard is on.
"""

from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar

from msgspec import Meta, UnsetType

from posstream.domain.printable import CONTROL, VISIBLE, is_id
from posstream.json.reading import MAX_WHOLE

#: Longest id on a topic; SQL columns are made for it.
MAX_ID_LENGTH: Final = 256


def _can_be_id(value: object) -> bool:
    return not isinstance(value, str) or is_id(value, MAX_ID_LENGTH)


# -- of events that posstream reads

#: Text that keeps to the rules of an id.
Id = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_ID_LENGTH,
        description="Not only blanks, and without control characters.",
        # As `is_id` judges, which takes a tenth of a pattern's time.
        extra_json_schema={"pattern": VISIBLE, "not": {"type": "string", "pattern": CONTROL}},
        extra={"must_be": f"1 to {MAX_ID_LENGTH} printable characters", "check": _can_be_id},
    ),
]
#: An id that is copied to other topics or to tables.
GuardedId = Annotated[Id, Meta(extra={"guarded": True})]
#: GraphQL's clients write a number for an id.
GuardedIdOrNumber = GuardedId | Annotated[int, Meta(ge=-MAX_WHOLE, le=MAX_WHOLE)]
#: An unreadable time does not refuse the event: `posstream.domain.times.parse_utc` gives None.
Moment = Annotated[
    Any,
    Meta(
        description="A time of RFC 3339, UTC if it has no offset. Anything else counts as absent.",
        examples=["2026-01-31T08:00:00.000Z"],
    ),
]
#: A field that is only described.
NotRead = Annotated[Any, Meta(description="Text.", examples=["5b1c7a52-6d0f-4f6e"])]
#: A field on which no answer depends; it must hold no payment-card number all the same.
GuardedDetail = Annotated[
    Any,
    Meta(
        description="Text or a number that changes no answer.",
        examples=["t1", 1],
        extra={"guarded": True},
    ),
]

# -- of events that posstream writes

#: An id that posstream wrote or has read before.
KnownId = Annotated[str, Meta(min_length=1, max_length=MAX_ID_LENGTH)]
DerivedId = Annotated[KnownId, Meta(description="Derived (a UUID): a redelivery has the same.")]
Time = Annotated[
    str,
    Meta(
        description="ISO-8601 in UTC with Z and milliseconds.",
        extra_json_schema={"format": "date-time"},
    ),
]
Count = Annotated[int, Meta(ge=0)]
SchemaVersion = Literal[1]
T = TypeVar("T")
#: Left out where there is no value, and never null.
MayBeAbsent: TypeAlias = T | UnsetType
