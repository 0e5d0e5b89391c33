"""What is read back of the till events, and for which rules. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from agents.fraud_detection.rules.plan import Need


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One reading of past till events."""

    #: By partition of the table, the keys of the rules that miss events there.
    unread: Mapping[int, frozenset[str]]
    #: The groupings of these rules: everything that they record is read.
    groupings: frozenset[tuple[str, ...]]
    #: Every event from this time on is read, in ms since 1970.
    back_to_ms: int
    #: When the reading began. Later events come to the agent anyway.
    began_ms: int
    #: What the rules of that time needed,
    needs: frozenset[Need]
    #: and what had not been needed for a while.
    again_since: Mapping[Need, int]
    #: The generation of the consumer group: partitions may have moved since.
    generation: int | None

    def includes(self, other: "Reading") -> bool:
        """Whether a reading that is wanted now may go on as this one."""
        return (
            (self.needs, self.again_since, self.generation)
            == (other.needs, other.again_since, other.generation)
            and other.back_to_ms >= self.back_to_ms
            and all(keys <= self.unread.get(it, frozenset()) for it, keys in other.unread.items())
        )
