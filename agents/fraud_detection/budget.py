"""Pauses rules that cost too much, or alert too often, on this worker."""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from agents.fraud_detection.configuration import FraudConfiguration
from posstream.resilience.clock import Clock

if TYPE_CHECKING:
    from agents.fraud_detection.rules.rule import Rule

log = logging.getLogger(__name__)

_HOUR_SECONDS: Final = 3_600.0
_MINUTE_SECONDS: Final = 60.0


class _Held(NamedTuple):
    """Why a rule is held."""

    why: str
    #: The key of the configuration with the limit, and the limit at that time.
    key: str
    most: int


class Budgets:
    """Counts what each rule has spent, and holds a rule that spends too much.

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
        self._held: dict[str, _Held] = {}
        self._rules: Mapping[str, Rule] = {}

    @property
    def held(self) -> Mapping[str, str]:
        """Id of each rule that is held -> why."""
        return {rule_id: it.why for rule_id, it in self._held.items()}

    def follow(self, values: FraudConfiguration) -> None:
        """Let a rule go on if somebody edited it, or raised the limit that held it."""
        rules = {it.id: it for it in values.rules}
        edited = {it for it, rule in self._rules.items() if rules.get(it) != rule}
        raised = {it for it, held in self._held.items() if getattr(values, held.key) > held.most}
        for rule_id in edited | raised:
            for spent in (self._held, self._alerts, self._seconds):
                spent.pop(rule_id, None)
        self._rules = rules

    def note_alert(self, rule_id: str, most_an_hour: int) -> None:
        """Count an alert."""
        self._turn()
        self._alerts[rule_id] += 1
        if self._alerts[rule_id] > most_an_hour:
            why = f"it raised more than {most_an_hour:,} alerts in an hour"
            self._hold(rule_id, _Held(why, "most_alerts_per_hour", most_an_hour))

    def note_cost(self, rule_id: str, seconds: float, most_percent: int) -> None:
        """Count the time for which a rule was judged."""
        self._turn()
        self._seconds[rule_id] += seconds
        if self._seconds[rule_id] > _MINUTE_SECONDS * most_percent / 100:
            why = f"it took more than {most_percent} % of a minute"
            self._hold(rule_id, _Held(why, "most_cpu_percent", most_percent))

    def note_size(self, rule_id: str, most: int) -> None:
        """Hold a rule that has more observations in a window than a group keeps."""
        why = f"a group has more than {most:,} events in its window"
        self._hold(rule_id, _Held(why, "most_observations_per_group", most))

    def _turn(self) -> None:
        now = self._clock.monotonic()
        if now - self._hour >= _HOUR_SECONDS:
            self._hour = now
            self._alerts.clear()
        if now - self._minute >= _MINUTE_SECONDS:
            self._minute = now
            self._seconds.clear()

    def _hold(self, rule_id: str, it: _Held) -> None:
        if rule_id not in self._held:
            self._held[rule_id] = it
            log.error("the rule %s is paused on this worker: %s", rule_id, it.why)
            self._told()
