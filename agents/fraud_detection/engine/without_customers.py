"""Takes forgotten customers out of what is stored of a group. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from msgspec.structs import replace

from agents.fraud_detection.engine.facts import MOST_AHEAD_MS
from agents.fraud_detection.engine.observation import Observation
from agents.fraud_detection.engine.state import (
    decode_head,
    decode_observation,
    decode_segment,
    encode,
    encode_observation,
)
from posstream.domain.times import from_ms
from posstream.forgetting.marks import Marks, Trace

_IDS: Final = ("customer_id", "basket.customer_id")
_IDENTIFIERS: Final = ("customer_identifier", "basket.customer_identifier")


def head_without(value: bytes, group: Mapping[str, str], marks: Marks) -> bytes | None:
    """A head without what is from before its customers were forgotten.

    Args:
        value: as it is stored.
        group: of a group of one customer, observations go; of others, they lose the names.
        marks: who was forgotten, and when.

    Returns:
        None if nothing changes.
    """
    head = decode_head(value)
    seen = [decode_observation(it) for it in head.observations]
    left = list(_without(seen, group, marks))
    if left == seen:
        return None
    head.observations = [encode_observation(it) for it in left]
    return encode(head)


def segment_without(value: bytes, group: Mapping[str, str], marks: Marks) -> bytes | None:
    """A segment without them; see `head_without`."""
    seen = decode_segment(value)
    left = list(_without(seen, group, marks))
    return None if left == seen else encode(left)


def observation_without(
    it: Observation, group: Mapping[str, str], marks: Marks
) -> Observation | None:
    """An observation without them; None if it goes."""
    return next(_without([it], group, marks), None) if marks else it


def is_empty(
    head: bytes, segments: Iterable[bytes | None], group: Mapping[str, str], marks: Marks
) -> bool:
    """Whether nothing is left of a group: its key names the customer, and has to go, too.

    Args:
        head: without its customers.
        segments: as they are stored.
        group: whose they are.
        marks: who was forgotten, and when.
    """
    if decode_head(head).observations:
        return False
    return not any(True for it in segments for _ in _without(decode_segment(it), group, marks))


def _without(
    seen: Iterable[Observation], group: Mapping[str, str], marks: Marks
) -> Iterator[Observation]:
    for it in seen:
        if not any(marks.cover(trace) for trace in _traces(it)):
            yield it
        elif "customer_id" not in group:
            facts = {k: v for k, v in it.facts.items() if k not in (*_IDS, *_IDENTIFIERS)}
            yield replace(it, facts=facts)


def _traces(it: Observation) -> Iterator[Trace]:
    customer_id = next((str(it.facts[name]) for name in _IDS if name in it.facts), None)
    # A till's clock may be so far ahead, and a mark is by the clock of a worker.
    at = from_ms(it.at_ms - MOST_AHEAD_MS)
    for identifier in {it.facts.get(name) for name in _IDENTIFIERS}:
        yield Trace("" if identifier is None else str(identifier), customer_id, at)
