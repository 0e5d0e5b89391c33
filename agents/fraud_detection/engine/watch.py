"""One rule in one group: its window and its episodes. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

from agents.fraud_detection.engine.episodes import Episodes
from agents.fraud_detection.engine.observation import EVER, Observation, Place, types_of
from agents.fraud_detection.engine.sessions import Sessions
from agents.fraud_detection.engine.state import MOST_ALERTS, Alerted, Mark
from agents.fraud_detection.engine.window import Entry, Window
from agents.fraud_detection.rules.compiled import CompiledRule

#: Alerts that one arrival raises, the newest ones. A late event can make hits of all behind it.
MOST_AT_ONCE: Final = MOST_ALERTS // 2
#: The most texts that entries share. An employee uses fewer tills; there may be any number of
#: customers.
_MOST_TEXTS: Final = 256


class Watch:
    """A rule in a group.

    Args:
        rule: the rule.
        mark: what is stored of its alerts; it is changed in place.
        sessions: those of the group.
    """

    __slots__ = (
        "_sessions",
        "_texts",
        "_window",
        "episodes",
        "rule",
    )

    def __init__(self, rule: CompiledRule, mark: Mark, sessions: Sessions) -> None:
        self.rule = rule
        self._window = Window(rule)
        self.episodes = Episodes(mark, rule.cooldown_ms, self._window.hits)
        self._sessions = sessions
        #: Texts among the entries' worths, shared to save memory.
        self._texts: dict[str, str] = {}

    def fill(self, observations: Iterable[Observation], horizon_ms: int) -> None:
        """Take all observations of the group, as at its last change."""
        self._lift_floor(horizon_ms)
        self._fill(observations)
        self.episodes.follow()

    def forget(self, horizon_ms: int) -> None:
        """Let all go that is up to a time."""
        self._lift_floor(horizon_ms)
        self.episodes.freeze(self._window.floor_ms)
        self.episodes.forget(horizon_ms)
        self._window.forget(horizon_ms)

    def take(self, old: Place | None, it: Observation) -> Sequence[Alerted]:
        """Judge an arrival.

        Args:
            old: where the observation was that it replaces.
            it: the arrival.

        Returns:
            The alerts that it raises.
        """
        entry = self._entry_of(it)
        self.episodes.note_place(it.place)
        if old is None and entry is not None:
            hits = self._window.append(entry)
            if hits is not None and len(hits) <= 1 and it.event_id not in self.episodes.by_id:
                return [self._raised(hit, it.event_id) for hit in hits if self.episodes.hit(hit)]
            if hits:  # they may have alerts: those before it hold again, or it has come before
                return self._followed(it.event_id, hits[0][0])
            if hits is not None:
                return ()
        changed = self._window.replace(old, entry)
        return () if changed is None else self._followed(it.event_id, *changed)

    def take_all(self, observations: Iterable[Observation], raised_by: str) -> Sequence[Alerted]:
        """Judge all observations anew, since an arrival changed what others are worth."""
        self._fill(observations)
        return self._followed(raised_by)

    def newest_of(self, place: Place, most: int) -> list[str]:
        """The ids of the observations in the window of one of them, the newest first."""
        return self._window.newest_of(place, most)

    def _lift_floor(self, horizon_ms: int) -> None:
        """Judge no window that begins before the horizon: it is not known whole any more."""
        self._window.floor_ms = max(self.episodes.mark.from_ms, horizon_ms + self.rule.window_ms)

    def _fill(self, observations: Iterable[Observation]) -> None:
        observations = list(observations)
        self._window.fill(self._entries_of(observations))
        alerted = self.episodes.by_id
        for it in [it for it in observations if it.event_id in alerted] if alerted else ():
            self.episodes.note_place(it.place)

    def _entries_of(self, observations: Sequence[Observation]) -> Iterable[Entry]:
        # Most events of a large group are of types that the rule does not read.
        on = self.rule.rule.on
        types = {
            it for it in {it.event_type for it in observations} if not types_of(it).isdisjoint(on)
        }
        entries = (self._entry_of(it) for it in observations if it.event_type in types)
        return (it for it in entries if it is not None)

    def _entry_of(self, it: Observation) -> Entry | None:
        """What the rule sees of an observation; None if it is none of the rule's."""
        rule = self.rule
        age = self._sessions.age_at(it.place) if rule.reads_session else None
        if not rule.is_on(it, age):
            return None
        worth = rule.worth(it, age)
        if worth is None:
            return None
        return it.at_ms, it.event_id, self._shared(worth) if isinstance(worth, str) else worth

    def _shared(self, worth: str) -> str:
        """One copy of a text for all entries: the same till comes again and again."""
        if len(self._texts) > _MOST_TEXTS:
            self._texts.clear()
        return self._texts.setdefault(worth, worth)

    def _followed(
        self, raised_by: str, start_ms: int = -EVER, end_ms: int = EVER
    ) -> Sequence[Alerted]:
        found = self.episodes.follow(start_ms, end_ms)
        if len(found) > MOST_AT_ONCE:
            found = found[-MOST_AT_ONCE:]
            self.episodes.mark.from_ms = found[0][0]
        return [self._raised(hit, raised_by) for hit in found]

    def _raised(self, hit: Place, raised_by: str) -> Alerted:
        return self.episodes.alerted(hit, raised_by, *self._window.measure(hit))
