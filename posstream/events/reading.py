"""Reads events by their models: a value that cannot be read is refused with the field named.

JSON is read by `posstream.json.reading`, not by msgspec, which skips unknown fields unseen: invalid
UTF-8 and numbers beyond every float would pass there. msgspec judges the types of the fields.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
import orjson
from msgspec import inspect

from posstream.domain.errors import DeadLetterReason, UnreadableEvent
from posstream.domain.payment_card import holds_payment_card, holds_payment_card_known
from posstream.domain.times import parse_utc, to_ms
from posstream.json.reading import MAX_WHOLE, read_json, whole_number
from posstream.json.schema import schema_of
from posstream.json.wording import demand

#: Largest event that is read: real ones are under 1 KB.
MAX_EVENT_BYTES: Final = 64 * 1024

E = TypeVar("E", bound=msgspec.Struct)


def read_event(
    model: type[E],
    value: bytes | None,
    *,
    card_guard: bool = True,
    read: Callable[[bytes], Any] = read_json,
) -> E:
    """Read a message as an event of a model.

    Args:
        model: whose fields are judged. Unknown fields are ignored, and null counts as absent.
        value: the message as received.
        card_guard: refuse payment-card numbers in guarded fields.
        read: reads JSON.

    Raises:
        UnreadableEvent: saying what is wrong with the message, or with its first wrong field in
            the order of the model.
    """
    return event_of(model, read_object(value, read=read), card_guard=card_guard)


def read_object(
    value: bytes | None,
    *,
    most: int = MAX_EVENT_BYTES,
    read: Callable[[bytes], Any] = read_json,
) -> dict[str, Any]:
    """The JSON object of a message.

    Args:
        value: the message as received.
        most: bytes; a longer message is refused.
        read: reads JSON.

    Raises:
        UnreadableEvent: saying what is wrong with the message.
    """
    if value is None:
        raise UnreadableEvent(DeadLetterReason.TOMBSTONE, "the message has no value")
    if len(value) > most:
        raise UnreadableEvent(
            DeadLetterReason.TOO_LARGE, f"the message has {len(value)} bytes, more than {most}"
        )
    try:
        event = read(value)
    except orjson.JSONEncodeError as why:
        raise UnreadableEvent(DeadLetterReason.NOT_JSON, "the message is nested too deep") from why
    except orjson.JSONDecodeError as why:
        if not value.strip():
            raise UnreadableEvent(DeadLetterReason.EMPTY, "the message is empty") from why
        try:
            value.decode()
        except UnicodeDecodeError:
            raise UnreadableEvent(DeadLetterReason.NOT_UTF8, "the message is not UTF-8") from why
        raise UnreadableEvent(
            DeadLetterReason.NOT_JSON, f"the message is not JSON (at character {why.pos})"
        ) from why
    if not isinstance(event, dict):
        raise UnreadableEvent(
            DeadLetterReason.NOT_AN_OBJECT, "the message is JSON, but not an object"
        )
    return event


def event_of(model: type[E], fields: Mapping[str, Any], *, card_guard: bool = True) -> E:
    """The event of a JSON object.

    Raises:
        UnreadableEvent: as `read_event`.
    """
    rules, checked, values_of = _rules(model)
    try:
        event = msgspec.convert(fields, model)
    except msgspec.ValidationError:
        # Field by field: msgspec names the fault that stands first in the message. It refuses null
        # for an absent field, and 3000.0 for a whole number.
        read = {rule.name: rule.read(fields.get(rule.name), card_guard) for rule in rules}
        return model(**{name: value for name, value in read.items() if value is not None})
    for (passes, is_guarded, rule), value in zip(checked, values_of(event), strict=False):
        # The same test as in `check`, without a call for each field of each event.
        if value is not None and (
            (passes is not None and not passes(value))
            or (is_guarded and card_guard and holds_payment_card_known(str(value)))
        ):
            rule.check(value, card_guard)
    return event


def moment_ms(value: object) -> int | None:
    """The time in a field, in milliseconds since 1970; None if it cannot be read."""
    moment = parse_utc(value)
    return None if moment is None else to_ms(moment)


def missing(name: str) -> UnreadableEvent:
    """The refusal of a message without a field."""
    return UnreadableEvent(DeadLetterReason.MISSING_FIELD, f"{name} is missing")


def invalid(name: str, why: str) -> UnreadableEvent:
    """The refusal of a message with an unusable field."""
    return UnreadableEvent(DeadLetterReason.INVALID_FIELD, f"{name} {why}")


@dataclass(frozen=True, slots=True)
class _Rule:
    """How one field of a model is read when the event cannot be taken as it is."""

    name: str
    kind: Any
    is_required: bool
    is_text: bool
    must_be: str
    passes: Callable[[Any], bool] | None
    is_guarded: bool

    def read(self, value: object, card_guard: bool) -> Any:  # noqa: FBT001 - called for each event
        if value is None:
            if self.is_required:
                raise missing(self.name)
            return None
        found = self._converted(value)
        self.check(found, card_guard)
        return found

    def check(self, value: object, card_guard: bool) -> None:  # noqa: FBT001 - see `read`
        if self.passes is not None and not self.passes(value):
            raise invalid(self.name, f"must be {self.must_be}")
        if card_guard and self.is_guarded and holds_payment_card(str(value)):
            raise invalid(self.name, "holds a payment-card number")

    def _converted(self, value: object) -> Any:
        # A float has at most 309 digits before the point; a decimal may have a million.
        whole = whole_number(value, most=math.inf if isinstance(value, float) else MAX_WHOLE)
        for reading in (value, whole):
            if reading is not None:
                with suppress(msgspec.ValidationError):
                    return msgspec.convert(reading, self.kind)
        is_other = self.is_text and not isinstance(value, str)
        raise invalid(self.name, f"must be {'text' if is_other else self.must_be}")


class _Rules(NamedTuple):
    """The rules of a model."""

    #: The rules of all fields.
    every: Sequence[_Rule]
    #: For each field that needs more than msgspec: the test that a value must pass, whether it is
    #: guarded against card numbers, and its rule.
    checked: Sequence[tuple[Callable[[Any], bool] | None, bool, _Rule]]
    #: Gives the values of the fields in `checked`.
    values_of: Callable[[Any], Sequence[Any]]


@cache
def _rules(model: type[msgspec.Struct]) -> _Rules:
    described = inspect.type_info(model)
    assert isinstance(described, inspect.StructType)  # noqa: S101 - for mypy
    extras = {field.name: _extra(field.type) for field in described.fields}
    rules = []
    for field in msgspec.structs.fields(model):
        demanded, extra = demand(schema_of(model), field.name), extras[field.name]
        if "," not in demanded:
            demanded = demanded.removeprefix("one of ")
        rules.append(
            _Rule(
                name=field.name,
                kind=field.type,
                is_required=field.required,
                is_text="text" in demanded,
                must_be=extra.get("must_be", demanded),
                passes=extra.get("check"),
                is_guarded=extra.get("guarded", False),
            )
        )
    checked = [it for it in rules if it.is_guarded or it.passes is not None]
    return _Rules(
        rules,
        [(it.passes, it.is_guarded, it) for it in checked],
        _values_of([it.name for it in checked]),
    )


def _values_of(names: Sequence[str]) -> Callable[[Any], Sequence[Any]]:
    if len(names) > 1:
        return attrgetter(*names)
    return lambda event: [getattr(event, name) for name in names]


def _extra(kind: inspect.Type) -> Mapping[str, Any]:
    """What `msgspec.Meta(extra=…)` says about a type or its alternatives."""
    if isinstance(kind, inspect.Metadata):
        return {**_extra(kind.type), **(kind.extra or {})}
    parts = kind.types if isinstance(kind, inspect.UnionType) else ()
    return {name: value for part in parts for name, value in _extra(part).items()}
