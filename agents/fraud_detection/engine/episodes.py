"""Groups the hits of a rule into episodes, and raises one alert for each. Pure.

A hit belongs to the episode of the hit before it if it comes less than the cooldown after it. That
depends on the hits only, in whatever order they came to be known.
"""

from collections import deque
from collections.abc import Iterable, Iterator

from agents.fraud_detection.engine.observation import Place
from agents.fraud_detection.engine.state import Alerted, Frozen, Mark


class Episodes:
    """The episodes of a rule in a group.

    Args:
        mark: what is stored of them; it is changed in place.
        cooldown_ms: of the rule.
    """

    def __init__(self, mark: Mark, cooldown_ms: int) -> None:
        self.mark = mark
        self.by_id = {it.triggered_by: it for it in mark.alerts}
        self._cooldown_ms = cooldown_ms
        #: The newest episode: its last hit, how many hits it has, and its first alert.
        self._last_ms: int | None = None
        self._hits = 0
        self._alert: Alerted | None = None
        #: Episodes that wait for their alert, by their first hit: number of hits, and the last one.
        self._waiting: dict[Place, tuple[int, int]] = {}
        #: Alerts whose hits grew since they were last asked for.
        self._grown: dict[str, Alerted] = {}

    def follow(self, hits: Iterable[Place]) -> list[Place]:
        """Count all hits anew.

        Returns:
            The first hit of each episode that has no alert: `alerted` is to be called for each.
        """
        self._waiting = {}
        frozen = self.mark.frozen
        self._last_ms, self._hits, self._alert = None, 0, None
        if frozen is not None:
            self._last_ms, self._hits = frozen.last_hit_ms, frozen.hits
            self._alert = self.by_id.get(frozen.triggered_by or "")
        for episode in self._apart(hits):
            is_new = not self._goes_on(episode[0])
            if is_new:
                self._hits, self._alert = 0, None
            if self._alert is None:
                known = (self.by_id.get(event_id) for _, event_id in episode)
                self._alert = next((it for it in known if it is not None), None)
            self._hits += len(episode)
            self._last_ms = episode[-1][0]
            if self._alert is not None:
                self._count()
            elif is_new:
                self._waiting[episode[0]] = self._hits, self._last_ms
        return list(self._waiting)

    def hit(self, place: Place) -> bool:
        """Count a hit after all others; tell whether an alert is to be raised for it."""
        goes_on = self._goes_on(place)
        self._hits = self._hits + 1 if goes_on else 1
        self._last_ms = place[0]
        if goes_on:
            if self._alert is not None:
                self._count()
            return False
        self._alert = None
        self._waiting = {place: (1, place[0])}
        return True

    def alerted(self, place: Place, raised_by: str, value: int, total: int) -> Alerted:
        """Raise the alert of the episode that begins at a hit."""
        hits, last_ms = self._waiting.pop(place)
        alert = Alerted(place[1], place[0], raised_by, str(value), total, hits, last_ms)
        self.mark.alerts.append(alert)
        self.by_id[place[1]] = alert
        if last_ms == self._last_ms and hits == self._hits:  # it is the newest episode
            self._alert = alert
        return alert

    def bound(self, most: int) -> None:
        """Judge only the time of the newest alerts again, once there are more than this many."""
        if len(self.mark.alerts) > most:
            newest_first = sorted((it.at_ms for it in self.mark.alerts), reverse=True)
            self.mark.from_ms = max(self.mark.from_ms, newest_first[(most + 1) // 2] + 1)

    def freeze(self, hits: deque[Place], floor_ms: int) -> None:
        """Let the hits before a time go: they are not judged again."""
        while hits and hits[0][0] < floor_ms:
            at, event_id = hits.popleft()
            frozen = self.mark.frozen
            if frozen is not None and at - frozen.last_hit_ms < self._cooldown_ms:
                frozen.hits += 1
                frozen.last_hit_ms = at
            else:
                frozen = self.mark.frozen = Frozen(at, 1)
            if frozen.triggered_by is None and event_id in self.by_id:
                frozen.triggered_by = event_id

    def forget(self, horizon_ms: int) -> None:
        """Let the alerts go that are not needed again, but for that of a frozen episode."""
        alerts, horizon_ms = self.mark.alerts, max(horizon_ms, self.mark.from_ms - 1)
        if not alerts or min(it.at_ms for it in alerts) > horizon_ms:
            return
        frozen = self.mark.frozen
        kept_id = None if frozen is None else frozen.triggered_by
        self.mark.alerts = [
            it for it in alerts if it.at_ms > horizon_ms or it.triggered_by == kept_id
        ]
        self.by_id = {it.triggered_by: it for it in self.mark.alerts}
        if self.mark.called:
            told = {it.config_version for it in self.mark.alerts}
            self.mark.called = {it: each for it, each in self.mark.called.items() if it in told}

    def take_grown(self) -> Iterable[Alerted]:
        """Alerts that have more hits than when this was last asked for."""
        grown, self._grown = self._grown, {}
        return grown.values()

    def _goes_on(self, place: Place) -> bool:
        return self._last_ms is not None and place[0] - self._last_ms < self._cooldown_ms

    def _apart(self, hits: Iterable[Place]) -> Iterator[list[Place]]:
        episode: list[Place] = []
        for hit in hits:
            if episode and hit[0] - episode[-1][0] >= self._cooldown_ms:
                yield episode
                episode = []
            episode.append(hit)
        if episode:
            yield episode

    def _count(self) -> None:
        """Tell the alert of the newest episode how many hits it has; it never gets fewer."""
        alert = self._alert
        if alert is not None and self._hits > alert.hits:
            alert.hits, alert.last_hit_ms = self._hits, self._last_ms or 0
            self._grown[alert.triggered_by] = alert
