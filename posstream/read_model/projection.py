"""What writes events into the read model, as a Protocol."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class Projection(Protocol):
    """The read model, written: idempotent, and guarded against older data."""

    async def apply(self, events: "Sequence[ProjectedEvent]") -> None:
        """Write a batch; order within the batch does not matter.

        Raises:
            Exception: whatever the database raises that may pass; the caller tries the batch
                again. What would never pass is logged and skipped.
        """
        ...


@dataclass(frozen=True, slots=True)
class ProjectedEvent:
    """A decoded record of one of the projected topics."""

    topic: str
    value: Mapping[str, Any]
    #: Where it lies, for the log: topic/partition/offset.
    place: str = ""
