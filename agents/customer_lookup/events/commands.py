"""The internal topic of commands for cache entries. No I/O."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from agents.customer_lookup.cache_commands import (
    CacheCommand,
    Evict,
    EvictPrefix,
    Forget,
    ForgetCustomer,
    Refresh,
    Replace,
)
from agents.customer_lookup.topics import CACHE_COMMANDS
from posstream.domain.errors import DeadLetterReason, UnreadableEvent
from posstream.domain.times import clamp_ms
from posstream.events.reading import MAX_EVENT_BYTES, read_object
from posstream.json.reading import read_json_exactly
from posstream.json.writing import write_json
from posstream.kafka.record import Record
from tables.freshness import CacheEntry

#: Largest command: the customer of an event of the largest size, with every field named.
_MAX_BYTES: Final = 2 * MAX_EVENT_BYTES


@dataclasses.dataclass(frozen=True, slots=True)
class _Replacement:
    """`Replace` as it is written: with the customer as JSON in JSON."""

    identifier: str
    customer: dict[str, Any]
    fetched_at_ms: int


#: What a record may be -> its `op`. Two of one `op` are told apart by their fields.
_OPS: Final[Mapping[type[Any], str]] = {
    EvictPrefix: "evict",
    Evict: "evict",
    _Replacement: "replace",
    Refresh: "refresh",
    Forget: "forget",
    ForgetCustomer: "forget",
}
#: Commands of older releases have no `sent_to`.
_FIELDS: Final = {
    kind: {field.name for field in dataclasses.fields(kind)} - {"sent_to"} for kind in _OPS
}


def commanded(command: CacheCommand, partitions: int) -> list[Record]:
    """A cache command, for each partition that it concerns.

    A command for one identifier has it as its key, so it comes to the partition of its cache
    entry; one for a prefix goes once to each of the `partitions`, one for a customer to any.
    """
    written: Any = command
    match command:
        case EvictPrefix(prefix):
            written = EvictPrefix(prefix, partitions)
        case Replace(identifier, entry):
            document: Any = msgspec.Raw(entry.document or b"null")
            written = _Replacement(identifier, document, entry.fetched_at_ms)
    fields = {name: getattr(written, name) for name in written.__dataclass_fields__}
    value = msgspec.json.encode({"op": _OPS[type(written)], **fields})
    match command:
        case EvictPrefix():
            return [
                Record(CACHE_COMMANDS, None, value, partition=number)
                for number in range(partitions)
            ]
        case ForgetCustomer(customer_id):
            return [Record(CACHE_COMMANDS, customer_id.encode(), value)]
        case _:
            return [Record(CACHE_COMMANDS, command.identifier.encode(), value)]


def read_cache_command(value: bytes | None) -> CacheCommand:
    """Read one message as `commanded` wrote it.

    Raises:
        UnreadableEvent: if it is no command that posstream wrote.
    """
    fields = read_object(value, most=_MAX_BYTES, read=read_json_exactly)
    for kind, op in _OPS.items():
        if fields.get("op") != op or not _FIELDS[kind] <= fields.keys():
            continue
        try:
            return _within_all_times(msgspec.convert(fields, kind))
        except msgspec.ValidationError:
            break
    raise UnreadableEvent(DeadLetterReason.INVALID_FIELD, "not a command that posstream wrote")


def _within_all_times(command: CacheCommand | _Replacement) -> CacheCommand:
    match command:
        case _Replacement(identifier, customer, fetched_at_ms):
            return Replace(identifier, CacheEntry(clamp_ms(fetched_at_ms), write_json(customer)))
        case Forget() | ForgetCustomer():
            return dataclasses.replace(command, after_ms=clamp_ms(command.after_ms))
        case _:
            return command
