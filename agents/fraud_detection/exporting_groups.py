"""Finds the observations that name a customer, for an export: in the changelog of the table."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from agents.fraud_detection.engine.group_key import group_of, head_key
from agents.fraud_detection.engine.observation import Observation
from agents.fraud_detection.engine.state import decode_head, decode_observation, decode_segment
from agents.fraud_detection.events.writing import shown
from agents.fraud_detection.recording import PREFIX
from agents.fraud_detection.topics import OBSERVATIONS
from posstream.forgetting.marks import Trail
from posstream.kafka.reader import topic_reader
from posstream.kafka.security import Brokers

_TABLE: Final = "fraud_observations"


async def export_observations(
    brokers: Brokers, trail: Trail
) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """The observations that name a customer, as values for JSON.

    Raises:
        BrokerUnreachable: if the changelog cannot be read.
    """
    found, changelog = FoundObservations(trail), OBSERVATIONS.changelog.name
    async with topic_reader(brokers, changelog) as reader:
        async for record in reader.records(changelog):
            found.take(record.key, record.value)
    return {_TABLE: found.told()}


class FoundObservations:
    """What the entries of the table say of a customer, taken in the order of its changelog.

    Args:
        trail: the names of the customer.
    """

    def __init__(self, trail: Trail) -> None:
        self._names = {"customer_id": trail.customer_ids, "customer_identifier": trail.identifiers}
        names = [name for names in self._names.values() for name in names]
        #: The names as they are in a value, and as they are in a key.
        self._bytes = [it.encode() for it in names] + [
            msgspec.json.encode(it)[1:-1] for it in names
        ]
        #: The newest value of each entry that may name the customer.
        self._entries: dict[bytes, bytes] = {}

    def take(self, key: bytes, value: bytes | None) -> None:
        """Take one change of an entry."""
        if value is not None and any(it in value or it in key for it in self._bytes):
            self._entries[key] = value
        else:
            self._entries.pop(key, None)

    def told(self) -> Sequence[Mapping[str, Any]]:
        """The observations, each once in each of its groups; other customers are left out."""
        found: dict[tuple[str, str], Observation] = {}
        for key, value in self._entries.items():
            text = key.decode()
            if text == PREFIX:
                continue
            head = head_key(text)
            for it in _observations(value, is_head=text == head):
                other = found.get((head, it.event_id))
                if self._means(it) and (other is None or other.revision <= it.revision):
                    found[head, it.event_id] = it
        return [
            {"group": self._own(group_of(head)), **msgspec.to_builtins(shown(self._without(it)))}
            for (head, _), it in sorted(found.items())
        ]

    def _means(self, it: Observation) -> bool:
        return any(self._is_own(name, value) for name, value in it.facts.items())

    def _is_own(self, name: str, value: object) -> bool:
        return value in self._names.get(_kind(name), ())

    def _own(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: it
            for name, it in fields.items()
            if _kind(name) not in self._names or self._is_own(name, it)
        }

    def _without(self, it: Observation) -> Observation:
        return msgspec.structs.replace(it, facts=self._own(it.facts))


def _kind(name: str) -> str:
    """The kind of id that a field holds: `basket.customer_id` holds a `customer_id`."""
    return name.rpartition(".")[2]


def _observations(value: bytes, *, is_head: bool) -> Sequence[Observation]:
    if is_head:
        return [decode_observation(it) for it in decode_head(value).observations]
    return decode_segment(value)
