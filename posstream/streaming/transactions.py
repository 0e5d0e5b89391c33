"""Watches for open transactions of other producers, behind which nothing can be read.

Only what is committed is read, so a transaction whose producer hangs holds back everything that
was written behind its first record. Kafka aborts it after its timeout, 15 minutes at most unless
the cluster allows more; until then the worker can only warn.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from faust.types import TP

from posstream.resilience.clock import Clock

log = logging.getLogger(__name__)

#: An open transaction that has held records back for this long is said to hang.
HANGS_SECONDS: Final = 10
#: How many partitions `/health/ready` names.
_MOST_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class _Held:
    """What an open transaction holds back in one partition."""

    #: The offset of its first record.
    start: int
    #: How many offsets there are from there on.
    count: int
    #: When it was first seen, in monotonic seconds.
    since: float


class TransactionWatch:
    """Watches the partitions of some topics for transactions that hang.

    Args:
        app: whose consumer it is.
        topics: their names.
        clock: time.
    """

    def __init__(self, app: Any, topics: Sequence[str], *, clock: Clock) -> None:
        self._app = app
        self._topics = frozenset(topics)
        self._clock = clock
        self._held: dict[TP, _Held] = {}
        self._said: set[tuple[TP, int]] = set()

    @property
    def held_back(self) -> int:
        """How many offsets cannot be read because of open transactions."""
        return sum(held.count for held in self._held.values())

    @property
    def warnings(self) -> Sequence[str]:
        """A sentence for each partition with a transaction that hangs; only the first few."""
        return [_sentence(tp, held) for tp, held in self._hanging()[:_MOST_NAMED]]

    def look(self) -> None:
        """Compare the end of each partition with the offset up to which it can be read."""
        consumer = self._app.consumer
        now = self._clock.monotonic()
        before, self._held = self._held, {}
        for tp in [TP(*tp) for tp in consumer.assignment() if tp.topic in self._topics]:
            start, count = consumer.held_back(tp)
            if count:
                known = before.get(tp)
                since = known.since if known is not None and known.start == start else now
                self._held[tp] = _Held(start, count, since)
        self._say()

    def _hanging(self) -> list[tuple[TP, _Held]]:
        now = self._clock.monotonic()
        return [it for it in sorted(self._held.items()) if now - it[1].since >= HANGS_SECONDS]

    def _say(self) -> None:
        hanging = {(tp, held.start): held for tp, held in self._hanging()}
        for tp, start in sorted(self._said - hanging.keys()):
            log.warning("the transaction at %s/%d/%d holds up nothing any more", *tp, start)
        for place in sorted(hanging.keys() - self._said):
            log.warning("%s", _sentence(place[0], hanging[place]))
        self._said = set(hanging)


def _sentence(tp: TP, held: _Held) -> str:
    return (
        f"an open transaction at {tp.topic}/{tp.partition}/{held.start} holds up {held.count} "
        "records: what is behind it can be read when its producer commits or aborts it"
    )
