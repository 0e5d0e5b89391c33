"""Watches for open transactions of other producers, behind which nothing can be read.

Only what is committed is read, so a transaction whose producer hangs holds back everything that
was written behind its first record. Kafka aborts it after its timeout, 15 minutes at most unless
the cluster allows more; until then the worker can only warn.
"""

import logging
from collections.abc import Sequence
from typing import Any, Final

from faust.types import TP

from posstream.resilience.clock import Clock
from posstream.streaming.stall import PartitionWatch, Standing

log = logging.getLogger(__name__)

#: An open transaction that has held records back for this long is said to hang.
HANGS_SECONDS: Final = 10
#: How many partitions `/health/ready` names.
_MOST_NAMED: Final = 3


class TransactionWatch(PartitionWatch):
    """Watches for transactions that hang."""

    def __init__(self, app: Any, topics: Sequence[str], *, clock: Clock) -> None:
        super().__init__(app, topics, clock=clock)
        self._said: set[tuple[TP, int | None]] = set()

    @property
    def held_back(self) -> int:
        """How many offsets cannot be read because of open transactions."""
        return sum(held.count for held in self._standing.values())

    @property
    def warnings(self) -> Sequence[str]:
        """A sentence for each partition with a transaction that hangs; only the first few."""
        return [_sentence(tp, held) for tp, held in self._standing_for(HANGS_SECONDS)[:_MOST_NAMED]]

    def look(self) -> None:
        """Compare the end of each partition with the offset up to which it can be read."""
        super().look()
        hanging = {(tp, held.place): held for tp, held in self._standing_for(HANGS_SECONDS)}
        for tp, start in sorted(self._said - hanging.keys()):
            log.warning("the transaction at %s/%d/%d holds up nothing any more", *tp, start)
        for place in sorted(hanging.keys() - self._said):
            log.warning("%s", _sentence(place[0], hanging[place]))
        self._said = set(hanging)

    def _place(self, tp: TP) -> tuple[int, int]:
        place: tuple[int, int] = self._app.consumer.held_back(tp)
        return place


def _sentence(tp: TP, held: Standing) -> str:
    return (
        f"an open transaction at {tp.topic}/{tp.partition}/{held.place} holds up {held.count} "
        "records: what is behind it can be read when its producer commits or aborts it"
    )
