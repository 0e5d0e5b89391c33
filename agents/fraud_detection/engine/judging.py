"""Judges the observations of one group by the rules of its grouping: the engine. Pure.

Live, shadow and preview judge with it. What comes of an arrival depends on the group's state and on
the arrival only; the state that is stored gives the same as the one in memory.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from msgspec.structs import replace

from agents.fraud_detection.engine.judged import Grown, Judged, Outcome, Put, Raised
from agents.fraud_detection.engine.kept import Kept, Read
from agents.fraud_detection.engine.observation import EVER, WITHDRAWN, Observation, Place, types_of
from agents.fraud_detection.engine.sessions import Sessions
from agents.fraud_detection.engine.state import (
    MOST_ALERTS,
    SEGMENT,
    Alerted,
    Called,
    Mark,
    decode_head,
    encode,
)
from agents.fraud_detection.engine.watch import Watch
from agents.fraud_detection.rules.compiled import CompiledRule
from agents.fraud_detection.rules.plan import GroupingPlan

#: Observations that an alert shows (contract, section 8).
SHOWN: Final = 50
#: A group with too many observations loses one part of this many at once.
_PARTS: Final = 16
#: The system takes some 400 ns to tell how much CPU a thread has used, so not all are asked for.
TIMED_ONE_IN: Final = 16
#: Since when what a rule reads is recorded: the rule judges no event from before it.
Since = Callable[[CompiledRule], int]


class Group:
    """A group in memory. If a change of it cannot be written, it is to be read again.

    Args:
        head: what is stored of the group; None if nothing is.
        read: reads the stored segment of a number.
        segment: observations in a segment.
    """

    __slots__ = (
        "_by_type",
        "_config_version",
        "_head",
        "_is_ahead",
        "_is_changed",
        "_kept",
        "_look_at",
        "_marks",
        "_newest",
        "_noted",
        "_read",
        "_rules",
        "_segment",
        "_sessions",
        "_watches",
        "is_timed",
        "spent",
    )

    def __init__(
        self,
        head: bytes | None = None,
        read: Read = lambda _: None,
        *,
        segment: int = SEGMENT,
    ) -> None:
        self._read, self._segment = read, segment
        self._head = decode_head(head)
        #: Whether something is to be written.
        self._is_changed = False
        self._load()
        self._config_version = 0
        #: Whether there are too many observations is checked once there are this many.
        self._look_at = 0
        #: Whether to measure how long each rule takes.
        self.is_timed = False
        #: By the id of a rule, the seconds that were measured. The judge reads and empties this.
        self.spent: defaultdict[str, float] = defaultdict(float)

    def _load(self) -> None:
        """Take the observations that are past the horizon of the head."""
        self._kept = Kept(self._head, self._read, self._segment)
        self._sessions = Sessions(self._head.session)
        self._newest: Place = (-1, "")
        for it in self._kept.live():
            self._newest = max(self._newest, it.place)
            if it.is_of_session:
                self._sessions.put(it)
        #: The marks of all rules, by their keys.
        self._marks: dict[str, Mark] = {}
        #: Those of the rules that have an observation or an alert here: of most groups, few.
        self._watches: dict[str, Watch] = {}
        #: By type of event, the rules that use it.
        self._by_type: dict[str, Sequence[Watch]] = {}
        #: The marks that the head has.
        self._noted: dict[str, Mark] | None = None
        #: Whether the horizon moved since all rules last forgot what is up to it.
        self._is_ahead = False
        self._rules: Sequence[CompiledRule] = ()

    @property
    def horizon_ms(self) -> int:
        """Observations up to this time are gone, or never were."""
        return self._head.horizon_ms

    @property
    def size(self) -> int:
        """How many observations are in memory."""
        return len(self._kept)

    def judge(
        self,
        it: Observation,
        plan: GroupingPlan,
        lateness_ms: int,
        *,
        since: Since = lambda _: -EVER,
        is_snoozed: Callable[[str], bool] = lambda _: False,
    ) -> Judged:
        """Judge an arrival.

        Args:
            it: the arrival.
            plan: that of the group's grouping.
            lateness_ms: how long after it happened an event is judged.
            since: since when what a rule reads is recorded in the group's partition.
            is_snoozed: whether a rule, by its id, is snoozed for the group.
        """
        written_ms = max(self._head.written_ms, it.written_ms)
        bounded_ms = max(self._head.bounded_ms, self._bounded_ms(plan))
        wanted_ms = written_ms - lateness_ms - plan.widest_window_ms
        horizon_ms = max(self._head.horizon_ms, wanted_ms, bounded_ms)
        self._follow(plan, since)
        if it.at_ms <= horizon_ms:
            return self._too_late(plan, written_ms, horizon_ms, bounded_ms)
        known = self._known(it.event_id, horizon_ms)
        news = _news(it, known)
        if news is None:
            if known is not None:
                # The store of a killed worker may have an observation that its changelog lacks.
                self._kept.put_again(it.event_id)
                self._is_changed = True
            self._forget()
            raised = self._raised_again(it.event_id)
            return Judged(outcome=Outcome.REPEATED, raised=raised, grown=self._touched(it))
        it = news
        self._advance(written_ms, horizon_ms, bounded_ms)
        self._kept.put(it)
        self._is_changed = True
        new, grown = self._judged(known, it)
        self._newest = max(self._newest, it.place)
        self._note(new, is_snoozed)
        told = [self._raised(watch, alert, is_new=True) for watch, alert in new]
        if known is not None:
            self._forget()
            told += self._raised_again(it.event_id, but=[alert for _, alert in new])
            grown += self._touched(it)
        return Judged(
            outcome=Outcome.COUNTED if known is None else Outcome.REVISED,
            raised=told,
            grown=grown,
            too_large=self._too_large(plan),
        )

    def read_back(
        self,
        arrivals: Iterable[Observation],
        plan: GroupingPlan,
        back_to_ms: int,
        *,
        since: Since,
        unread: Collection[str],
    ) -> None:
        """Keep past events that were not recorded; they are judged by `judge_anew`.

        Args:
            arrivals: in any order; those that are known change nothing.
            plan: as for `judge`.
            back_to_ms: every event from this time on is read back.
            since: as for `judge`.
            unread: the keys of the rules that miss events.
        """
        self._follow(plan, since)
        self._reach_back(back_to_ms, unread)
        is_changed = False
        for it in arrivals:
            bounded_ms = max(self._head.bounded_ms, self._bounded_ms(plan))
            horizon_ms = max(self._head.horizon_ms, bounded_ms)
            known = self._known(it.event_id, horizon_ms)
            past = replace(it, is_read_back=True)
            news = _news(past, known) if it.at_ms > horizon_ms else None
            if news is None:
                continue
            self._advance(max(self._head.written_ms, it.written_ms), horizon_ms, bounded_ms)
            self._kept.put(news)
            self._count_session(known, news)
            self._newest = max(self._newest, news.place)
            is_changed = True
        if is_changed:
            self._is_changed = True
            self._forget()
            # Their windows do not have what was kept.
            self._marks, self._watches, self._by_type, self._rules = {}, {}, {}, ()

    def judge_anew(
        self,
        plan: GroupingPlan,
        *,
        since: Since,
        unread: Collection[str],
        is_snoozed: Callable[[str], bool],
    ) -> Judged:
        """Judge all observations by the rules that missed some.

        Alerts that an earlier try has raised are told again.
        """
        self._follow(plan, since)
        self._forget()
        raised_by = f"read back, {plan.config_version}"
        new = [
            (watch, each)
            for watch in self._watches.values()
            if watch.rule.key in unread
            for each in watch.take_all(self._kept.live(), raised_by)
        ]
        self._note(new, is_snoozed)
        self._is_changed = True
        told = [self._raised(watch, alert, is_new=True) for watch, alert in new]
        return Judged(
            outcome=Outcome.REPEATED,
            raised=[*told, *self._raised_again(raised_by, but=[alert for _, alert in new])],
            too_large=self._too_large(plan),
        )

    def take_puts(self) -> Sequence[Put]:
        """What is to be written since the last call.

        The order is that of writing: a crash may come after any of the puts.
        """
        if not self._is_changed:
            self._kept.let_go()
            return ()
        self._is_changed = False
        self._forget()
        before, after = self._kept.take_puts()
        return (*before, Put(segment=None, value=encode(self._head)), *after)

    def alert(self, rule_key: str, triggered_by: str) -> Raised | None:
        """An alert that was raised, as it is now.

        Args:
            rule_key: `CompiledRule.key`.
            triggered_by: the id of the event.

        Returns:
            None if its observations are gone.
        """
        watch = self._watches.get(rule_key)
        alert = None if watch is None else watch.episodes.by_id.get(triggered_by)
        if watch is None or alert is None or self._kept.get(triggered_by) is None:
            return None
        return self._raised(watch, alert, is_new=False)

    def _judged(
        self, known: Observation | None, it: Observation
    ) -> tuple[list[tuple[Watch, Alerted]], list[Grown]]:
        """Judge an arrival by each rule; returns the alerts it raises, and those it gives hits."""
        all_anew = self._count_session(known, it)
        # It came to the topic before a reading ended, and to the group after that.
        is_unjudged = known is not None and known.is_read_back
        # An event that is told again mostly has the same facts, of those that these rules read.
        if known is not None and not is_unjudged and known.says_the_same(it):
            return [], []
        watching = self._watching(it.event_type)
        is_same_type = known is None or known.event_type == it.event_type
        of_all = all_anew or is_unjudged or not is_same_type
        new: list[tuple[Watch, Alerted]] = []
        grown: list[Grown] = []
        # Not the clock: a busy machine is no rule's fault.
        began = time.thread_time() if self.is_timed or of_all else 0.0
        for watch in self._watches.values() if of_all else watching:
            watch.forget(self._head.horizon_ms)
            if is_unjudged or (all_anew and watch.rule.reads_session):
                found = watch.take_all(self._kept.live(), it.event_id)
            else:
                found = watch.take(None if known is None else known.place, it)
            new += [(watch, each) for each in found]
            grown += [_grown(watch, alert) for alert in watch.episodes.take_grown()]
            if self.is_timed or of_all:  # a look at a whole group is rare, and may take long
                ended = time.thread_time()
                times = 1 if of_all else TIMED_ONE_IN
                self.spent[watch.rule.rule.id] += (ended - began) * times
                began = ended
        return new, grown

    def _watching(self, event_type: str) -> Sequence[Watch]:
        """The rules that use events of a type."""
        found = self._by_type.get(event_type)
        if found is None:
            types = types_of(event_type)
            using = [it for it in self._rules if not types.isdisjoint(it.rule.on)]
            if any(it.key not in self._watches for it in using):
                self._wake(using)
            found = self._by_type[event_type] = [self._watches[it.key] for it in using]
        return found

    def _wake(self, rules: Iterable[CompiledRule]) -> None:
        """Watch rules of which the group had nothing so far."""
        for rule in rules:
            if rule.key not in self._watches:
                self._watches[rule.key] = self._watch(rule, ())
        # In the order of the rules, as if the group was read from the table.
        watches = self._watches
        self._watches = {it.key: watches[it.key] for it in self._rules if it.key in watches}

    def _watch(self, rule: CompiledRule, live: Iterable[Observation]) -> Watch:
        watch = Watch(rule, self._marks[rule.key], self._sessions)
        watch.fill(live, self._head.horizon_ms)
        return watch

    def _too_late(
        self, plan: GroupingPlan, written_ms: int, horizon_ms: int, bounded_ms: int
    ) -> Judged:
        """Leave an arrival out. If that is because of the bound, the bound holds from now on."""
        if bounded_ms > self._head.bounded_ms:
            self._advance(written_ms, horizon_ms, bounded_ms)
            self._kept.forget()
            self._forget()
            self._note((), lambda _: False)
            self._is_changed = True
        return Judged(outcome=Outcome.TOO_LATE, too_large=self._too_large(plan))

    def _known(self, event_id: str, horizon_ms: int) -> Observation | None:
        known = self._kept.get(event_id)
        return None if known is None or known.at_ms <= horizon_ms else known

    def _advance(self, written_ms: int, horizon_ms: int, bounded_ms: int) -> None:
        """Let what is up to the horizon go."""
        self._head.written_ms, self._head.horizon_ms = written_ms, horizon_ms
        self._head.bounded_ms = bounded_ms
        self._head.session = self._sessions.forget(horizon_ms)
        self._is_ahead = True

    def _forget(self) -> None:
        """Let all rules forget what is up to the horizon, not only those that judged since."""
        if self._is_ahead:
            self._is_ahead = False
            for watch in self._watches.values():
                watch.forget(self._head.horizon_ms)

    def _reach_back(self, back_to_ms: int, unread: Collection[str]) -> None:
        """Keep older observations than so far. They are past for all rules that miss none."""
        head = self._head
        self._forget()
        self._note((), lambda _: False)
        horizon_ms = max(back_to_ms, head.bounded_ms)
        if horizon_ms >= head.horizon_ms:
            return
        for rule in self._rules:
            mark = self._marks[rule.key]
            if rule.key not in unread:
                mark.from_ms = max(mark.from_ms, head.horizon_ms + rule.window_ms)
            elif horizon_ms == back_to_ms:
                mark.frozen = None  # all its hits are judged again
        head.horizon_ms = horizon_ms
        if head.session is not None and head.session.at_ms > horizon_ms:
            head.session = None  # it is read back
        self._load()

    def _note(
        self, new: Collection[tuple[Watch, Alerted]], is_snoozed: Callable[[str], bool]
    ) -> None:
        """Note how alerts were raised, and where the marks of all rules are."""
        for watch, alert in new:
            alert.state = watch.rule.rule.state
            alert.is_snoozed = is_snoozed(watch.rule.rule.id)
            alert.config_version = self._config_version
            watch.episodes.mark.called[self._config_version] = _called(watch.rule)
        if new:
            self._forget()
            self._bound()
        if self._noted is not self._marks:  # a rule changes its mark in place
            self._noted = self._head.marks = self._marks

    def _follow(self, plan: GroupingPlan, since: Since) -> None:
        """Judge by a plan from now on. What is past is not judged by a rule that is new."""
        self._config_version, rules = plan.config_version, plan.rules
        if rules is self._rules:  # most of the time
            return
        self._forget()
        live: list[Observation] = []
        types: frozenset[str] = frozenset()
        newest_ms = -EVER
        if any(rule.key not in self._marks for rule in rules):
            live = list(self._kept.live())
            types = types.union(*map(types_of, {it.event_type for it in live}))
            newest_ms = max((it.at_ms for it in live), default=-EVER)
        marks: dict[str, Mark] = {}
        watches: dict[str, Watch] = {}
        self._rules, self._marks, known = rules, marks, self._marks
        for rule in rules:
            mark = known.get(rule.key) or self._head.marks.get(rule.key) or Mark(newest_ms + 1)
            mark.from_ms = max(mark.from_ms, since(rule))
            marks[rule.key] = mark
            watch = self._watches.get(rule.key)
            if watch is None and (mark.alerts or not types.isdisjoint(rule.rule.on)):
                watch = self._watch(rule, live)
            if watch is not None:
                watch.rule = rule  # its name may be another one
                watches[rule.key] = watch
        self._watches, self._by_type = watches, {}

    def _bounded_ms(self, plan: GroupingPlan) -> int:
        """The time up to which observations go because there are too many of them."""
        if self.size < plan.most_observations:
            self._look_at = 0
        if self.size < max(plan.most_observations, self._look_at):
            return -EVER
        times = sorted(self._kept.times())
        some = plan.most_observations // _PARTS  # many at once, rather than one at each arrival
        self._look_at = self.size + some
        gone = len(times) - plan.most_observations + some
        return times[gone - 1] if gone > 0 else -EVER

    def _too_large(self, plan: GroupingPlan) -> Sequence[CompiledRule]:
        """The rules whose window reaches back to observations that are gone by the bound."""
        if self._head.bounded_ms == -EVER:  # most of the time
            return ()
        kept_ms = self._newest[0] - self._head.bounded_ms
        return [rule for rule in plan.rules if rule.window_ms > kept_ms]

    def _bound(self) -> None:
        """Keep fewer alerts of the rules that have most, once there are too many in all."""
        watches = self._watches.values()
        if sum(len(it.episodes.mark.alerts) for it in watches) <= MOST_ALERTS:
            return
        for watch in watches:
            watch.episodes.bound(MOST_ALERTS // len(self._marks))
            watch.forget(self._head.horizon_ms)

    def _count_session(self, known: Observation | None, it: Observation) -> bool:
        """Count a login or logout; tell whether other observations see another session now."""
        is_old, is_new = known is not None and known.is_of_session, it.is_of_session
        if known is not None and is_old:
            self._sessions.take_out(known.place)
        if is_new:
            self._sessions.put(it)
        return is_old or (is_new and it.place < self._newest)

    def _raised_again(self, event_id: str, but: Sequence[Alerted] = ()) -> list[Raised]:
        """Alerts that an earlier delivery of an event raised: a crash may have lost them."""
        return [
            self._raised(watch, alert, is_new=False)
            for watch in self._watches.values()
            for alert in watch.episodes.mark.alerts
            if alert.raised_by == event_id
            and not any(alert is each for each in but)
            and self._kept.get(alert.triggered_by) is not None
        ]

    def _touched(self, it: Observation) -> list[Grown]:
        """Alerts whose hits an earlier delivery of an event may have made more."""
        return [
            _grown(watch, alert)
            for watch in self._watches.values()
            for alert in watch.episodes.mark.alerts
            if it.at_ms <= alert.last_hit_ms  # a late hit joins what is behind it
        ]

    def _raised(self, watch: Watch, alert: Alerted, *, is_new: bool) -> Raised:
        trigger = self._kept[alert.triggered_by]
        shown = watch.newest_of(trigger.place, SHOWN)
        version = alert.config_version
        called = None if version is None else watch.episodes.mark.called.get(version)
        return Raised(
            rule=watch.rule,
            trigger=trigger,
            value=int(alert.value),
            observations=[known for it in shown if (known := self._kept.get(it)) is not None],
            total=alert.total,
            hits=alert.hits,
            last_hit_ms=alert.last_hit_ms,
            called=called or _called(watch.rule),
            config_version=self._config_version if version is None else version,
            state=alert.state,
            is_snoozed=alert.is_snoozed,
            is_new=is_new,
        )


def _news(it: Observation, known: Observation | None) -> Observation | None:
    """An arrival as it is kept; None if nothing in it is new.

    The same revision may come once more with facts that were not asked for the first time, or by
    itself after it was read back.
    """
    is_withdrawn = it.event_type == WITHDRAWN
    if known is None:
        return None if is_withdrawn else it
    if it.revision > known.revision:
        # An alert that it triggered stays, and is still told with its facts.
        return replace(it, facts=known.facts) if is_withdrawn else it
    has_come = known.is_read_back and not it.is_read_back
    if it.revision < known.revision or not (has_come or it.recorded & ~known.recorded):
        return None
    return replace(
        known,
        facts={**it.facts, **known.facts},
        recorded=it.recorded | known.recorded,
        is_read_back=known.is_read_back and it.is_read_back,
    )


def _called(it: CompiledRule) -> Called:
    return Called(it.rule.name, it.rule.severity)


def _grown(watch: Watch, alert: Alerted) -> Grown:
    return Grown(watch.rule, alert.triggered_by, alert.hits, alert.last_hit_ms)
