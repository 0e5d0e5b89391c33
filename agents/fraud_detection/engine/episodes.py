"""Groups the hits of a rule into episodes, and raises one alert for each. Pure.

A hit belongs to the episode of the hit before it if it comes less than the cooldown after it. That
depends on the hits only, in whatever order they came to be known.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable

from agents.fraud_detection.engine.observation import EVER, Place
from agents.fraud_detection.engine.state import Alerted, Frozen, Mark


class Episodes:
    """The episodes of a rule in a group.

    Args:
        mark: what is stored of them; it is changed in place.
        cooldown_ms: of the rule.
        hits: the hits in their order; the window changes them in place.
    """

    __slots__ = (
        "_alert",
        "_cooldown_ms",
        "_count",
        "_grown",
        "_hits",
        "_last_ms",
        "_moved",
        "_places",
        "_starts",
        "_waiting",
        "by_id",
        "mark",
    )

    def __init__(self, mark: Mark, cooldown_ms: int, hits: list[Place]) -> None:
        self.mark = mark
        self.by_id = {it.triggered_by: it for it in mark.alerts}
        self._cooldown_ms = cooldown_ms
        self._hits = hits
        #: The first hit of each episode. The first hit of all may belong to the frozen episode.
        self._starts: list[Place] = []
        #: The places of the alerts, in their order.
        self._places = sorted(map(_place, mark.alerts))
        #: Events that moved in time after their alerts, which are not in their places then.
        self._moved: frozenset[str] = frozenset()
        #: The newest episode: its last hit, how many hits it has, and its first alert.
        self._last_ms: int | None = None
        self._count = 0
        self._alert: Alerted | None = None
        #: Episodes that wait for their alert, by their first hit: number of hits, and the last one.
        self._waiting: dict[Place, tuple[int, int]] = {}
        #: Alerts whose hits grew since they were last asked for.
        self._grown: dict[str, Alerted] = {}

    def follow(self, start_ms: int = -EVER, end_ms: int = EVER) -> list[Place]:
        """Count again the hits that changed from one time on and before another.

        Returns:
            The first hit of each episode that has no alert: `alerted` is to be called for each.
        """
        self._waiting = {}
        if self._moved or start_ms == -EVER:
            start_ms, end_ms = -EVER, EVER
        hits, starts = self._hits, self._starts
        index, end = bisect_left(hits, (start_ms,)), bisect_left(hits, (end_ms,)) + 1
        first = bisect_left(starts, (start_ms,))
        # The first hit after them may now begin an episode, or no longer begin one.
        behind = hits[end - 1 : end]
        last = bisect_right(starts, behind[0]) if behind else len(starts)
        starts[first:last] = new = [
            hits[it] for it in range(index, min(end, len(hits))) if self._is_start(it)
        ]
        for number in range(max(0, first - 1), first + len(new)):
            self._recount(number)
        if not starts:
            self._go_on_frozen()
        elif first + len(new) < len(starts):
            self._recount(len(starts) - 1)
        return list(self._waiting)

    def hit(self, place: Place) -> bool:
        """Count a hit that is newer than all others; returns whether to raise an alert."""
        goes_on = self._goes_on(place)
        if not goes_on or len(self._hits) == 1:
            self._starts.append(place)
        self._count = self._count + 1 if goes_on else 1
        self._last_ms = place[0]
        if goes_on:
            if self._alert is not None:
                self._grow(self._alert, self._count, place[0])
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
        insort(self._places, place)
        self._moved -= {place[1]}
        if last_ms == self._last_ms and hits == self._count:  # it is the newest episode
            self._alert = alert
        return alert

    def bound(self, most: int) -> None:
        """Judge only the time of the newest alerts again, once there are more than this many."""
        if len(self.mark.alerts) > most:
            newest_first = sorted((it.at_ms for it in self.mark.alerts), reverse=True)
            self.mark.from_ms = max(self.mark.from_ms, newest_first[(most + 1) // 2] + 1)

    def freeze(self, floor_ms: int) -> None:
        """Let the hits before a time go: they are not judged again."""
        hits, starts = self._hits, self._starts
        if not hits or hits[0][0] >= floor_ms:  # most of the time
            return
        gone = bisect_left(hits, (floor_ms,))
        for at, event_id in hits[:gone]:
            frozen = self.mark.frozen
            if frozen is not None and at - frozen.last_hit_ms < self._cooldown_ms:
                frozen.hits += 1
                frozen.last_hit_ms = at
            else:
                frozen = self.mark.frozen = Frozen(at, 1)
            if frozen.triggered_by is None and event_id in self.by_id:
                frozen.triggered_by = event_id
        del hits[:gone]
        del starts[: bisect_left(starts, (floor_ms,))]
        if hits and (not starts or starts[0] != hits[0]):
            starts.insert(0, hits[0])

    def forget(self, horizon_ms: int) -> None:
        """Let the alerts go that are not needed again, but for that of a frozen episode."""
        alerts, horizon_ms = self.mark.alerts, max(horizon_ms, self.mark.from_ms - 1)
        if not alerts or self._places[0][0] > horizon_ms:
            return
        frozen = self.mark.frozen
        kept_id = None if frozen is None else frozen.triggered_by
        self.mark.alerts = [
            it for it in alerts if it.at_ms > horizon_ms or it.triggered_by == kept_id
        ]
        self.by_id = {it.triggered_by: it for it in self.mark.alerts}
        self._places = sorted(map(_place, self.mark.alerts))
        self._moved = self._moved.intersection(self.by_id)
        if self.mark.called:
            told = {it.config_version for it in self.mark.alerts}
            self.mark.called = {it: each for it, each in self.mark.called.items() if it in told}

    def take_grown(self) -> Iterable[Alerted]:
        """Alerts that have more hits than when this was last asked for."""
        if not self._grown:  # most of the time
            return ()
        grown, self._grown = self._grown, {}
        return grown.values()

    def note_place(self, place: Place) -> None:
        """Note the place of an event: its alert may be elsewhere."""
        alert = self.by_id.get(place[1])
        if alert is not None and alert.at_ms != place[0]:
            self._moved |= {place[1]}
        elif self._moved:
            self._moved -= {place[1]}

    def _goes_on(self, place: Place) -> bool:
        return self._last_ms is not None and place[0] - self._last_ms < self._cooldown_ms

    def _is_start(self, index: int) -> bool:
        hits = self._hits
        return not index or hits[index][0] - hits[index - 1][0] >= self._cooldown_ms

    def _go_on_frozen(self) -> None:
        """Take the frozen episode as the newest one."""
        frozen = self.mark.frozen
        self._last_ms, self._count, self._alert = None, 0, None
        if frozen is not None:
            self._last_ms, self._count = frozen.last_hit_ms, frozen.hits
            self._alert = self.by_id.get(frozen.triggered_by or "")

    def _recount(self, number: int) -> None:
        """Count one episode; afterwards it is the newest one, until the next is counted."""
        hits, starts = self._hits, self._starts
        start = bisect_left(hits, starts[number])
        end = bisect_left(hits, starts[number + 1]) if number + 1 < len(starts) else len(hits)
        goes_on = False
        if not number:
            self._go_on_frozen()
            goes_on = self._goes_on(hits[0])
        if not goes_on:
            self._count, self._alert = 0, None
        self._count += end - start
        self._last_ms = hits[end - 1][0]
        if self._alert is None:
            self._alert = self._alert_of(start, end)
        if self._alert is not None:
            self._grow(self._alert, self._count, self._last_ms)
        elif not goes_on:
            self._waiting[starts[number]] = self._count, self._last_ms

    def _alert_of(self, start: int, end: int) -> Alerted | None:
        """The first alert whose event is among some hits."""
        hits, by_id = self._hits, self.by_id
        if self._moved:
            known = (by_id.get(event_id) for _, event_id in hits[start:end])
            return next((it for it in known if it is not None), None)
        places = self._places
        first, last = bisect_left(places, hits[start]), bisect_right(places, hits[end - 1])
        for place in places[first:last]:
            index = bisect_left(hits, place)
            if hits[index] == place:
                return by_id[place[1]]
        return None

    def _grow(self, alert: Alerted, hits: int, last_ms: int) -> None:
        """Set how many hits the episode of an alert has; the number never falls."""
        if hits > alert.hits:
            alert.hits, alert.last_hit_ms = hits, last_ms
            self._grown[alert.triggered_by] = alert


def _place(it: Alerted) -> Place:
    return it.at_ms, it.triggered_by
