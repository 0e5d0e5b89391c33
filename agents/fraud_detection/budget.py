"""Pauses rules that cost too much, or alert too often, on this worker."""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Final

from posstream.resilience.clock import Clock

log = logging.getLogger(__name__)

_HOUR_SECONDS: Final = 3_600.0
_MINUTE_SECONDS: Final = 60.0


class Budgets:
    """What each rule has spent.

    Args:
        clock: time.
        held: called when a rule is held from now on.
    """

    def __init__(self, clock: Clock, held: Callable[[], None]) -> None:
        self._clock = clock
        self._told = held
        #: Since when alerts and seconds are counted, in monotonic seconds.
        self._hour: float = clock.monotonic()
        self._minute = self._hour
        self._alerts: Counter[str] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._held: dict[str, str] = {}

    @property
    def held(self) -> Mapping[str, str]:
        """Id of each rule that is held -> why."""
        return self._held

    def begin_anew(self) -> None:
        """Hold no rule any more: somebody has edited them."""
        self._held.clear()
        self._alerts.clear()
        self._seconds.clear()

    def note_alert(self, rule_id: str, most_an_hour: int) -> None:
        """Count an alert."""
        self._turn()
        self._alerts[rule_id] += 1
        if self._alerts[rule_id] > most_an_hour:
            self._hold(rule_id, f"it raised more than {most_an_hour:,} alerts in an hour")

    def note_cost(self, rule_id: str, seconds: float, most_percent: int) -> None:
        """Count the time for which a rule was judged."""
        self._turn()
        self._seconds[rule_id] += seconds
        if self._seconds[rule_id] > _MINUTE_SECONDS * most_percent / 100:
            self._hold(rule_id, f"it took more than {most_percent} % of a minute")

    def _turn(self) -> None:
        now = self._clock.monotonic()
        if now - self._hour >= _HOUR_SECONDS:
            self._hour = now
            self._alerts.clear()
        if now - self._minute >= _MINUTE_SECONDS:
            self._minute = now
            self._seconds.clear()

    def _hold(self, rule_id: str, why: str) -> None:
        if rule_id not in self._held:
            self._held[rule_id] = why
            log.error("the rule %s is paused on this worker: %s", rule_id, why)
            self._told()
