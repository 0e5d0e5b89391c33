"""Tells in the log which partitions a rebalance of one consumer brought and took away."""

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any

from faust.types import TP

log = logging.getLogger(__name__)


class RebalanceLog:
    """One line for each rebalance of a consumer."""

    def __init__(self) -> None:
        self._had: frozenset[TP] = frozenset()

    def assigned(self, assigned: Collection[TP], app: Any) -> None:
        """Tell what came and what went.

        Args:
            assigned: the partitions that the consumer has now.
            app: whose consumer it is; partitions of changelogs are not named.
        """
        had, changelogs = self._had, app.tables.changelog_topics
        self._had = has = frozenset(tp for tp in assigned if tp.topic not in changelogs)
        log.info(
            "rebalance of %s: %d partitions; came: %s; went: %s",
            app.conf.id,
            len(has),
            listed(has - had) or "none",
            listed(had - has) or "none",
            extra={"plugin": app.plugin},
        )


def listed(tps: Iterable[TP]) -> str:
    """Partitions in short form: `customer-identified 0-3 6, pos-events 1`."""
    numbers = defaultdict(list)
    for topic, number in sorted(tps):
        numbers[topic].append(number)
    return ", ".join(f"{topic} {' '.join(_ranges(them))}" for topic, them in numbers.items())


def _ranges(numbers: Iterable[int]) -> Iterable[str]:
    """Sorted numbers, those in a row as `first-last`."""
    rows: list[list[int]] = []
    for number in numbers:
        if rows and rows[-1][-1] == number - 1:
            rows[-1][1:] = [number]
        else:
            rows.append([number])
    return ["-".join(map(str, row)) for row in rows]
