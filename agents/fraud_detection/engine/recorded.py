"""Since when the groups of one partition keep what a rule reads. Pure.

A rule that is new, or that was changed, may need types or facts of events, or a longer window,
than what was kept so far. Its windows are then known whole only from some time on.
"""

from collections.abc import Collection, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

#: Nothing was ever kept: the topic is read from its beginning.
_EVER: Final = 0


class Recorded(Struct, frozen=True, array_like=True):
    """What the groups of one grouping keep in one partition. Times are ms since 1970."""

    #: How long an observation is kept after the newest message.
    kept_ms: int
    #: Nothing before it may be known: it was kept for less long then.
    floor_ms: int
    #: Type or fact -> since when it is kept.
    since: Mapping[str, int]
    #: When past events were read back last: what was missing until then is there.
    read_ms: int = 0
    #: Past events from before it could not be read back: they are not on the topic any more.
    oldest_ms: int = 0


def recorded(
    before: Recorded | None,
    needs: Mapping[str, int],
    kept_ms: int,
    now_ms: int,
    *,
    is_first: bool,
) -> Recorded:
    """What is kept from now on.

    Args:
        before: what was kept so far; None if the grouping is new.
        needs: the types and facts that the rules of the grouping read, each with the time before
            which it was not recorded for a while; mostly 0.
        kept_ms: how long observations are kept for them.
        now_ms: when the message came to the broker from which on all of it is kept.
        is_first: whether the partition has kept nothing at all so far.

    Returns:
        the same value if nothing changes.
    """
    if before is None:
        start = _EVER if is_first else now_ms
        return Recorded(kept_ms, start, {it: max(start, again) for it, again in needs.items()})
    since = {
        it: max(before.since.get(it, now_ms), again if again > before.read_ms else 0)
        for it, again in needs.items()
    }
    if before.kept_ms == kept_ms and before.since == since:
        return before
    floor_ms = before.floor_ms
    if kept_ms > before.kept_ms:
        floor_ms = max(floor_ms, now_ms - before.kept_ms)
    return replace(before, kept_ms=kept_ms, floor_ms=floor_ms, since=since)


def lacking(it: Recorded, facts: Collection[str], written_ms: int) -> Recorded:
    """What is kept after an event that another worker, with an older plan, grouped without facts.

    Args:
        it: what was kept so far.
        facts: those that the event lacks.
        written_ms: when the event's message came to the broker.

    Returns:
        the same value if nothing changes.
    """
    since = {name: written_ms + 1 for name in facts if it.since[name] <= written_ms}
    return replace(it, since={**it.since, **since}) if since else it


def read_back(it: Recorded, from_ms: int, read_ms: int, *, is_oldest: bool) -> Recorded:
    """What is kept after every event of the grouping from a time on was read back.

    Args:
        it: what was kept so far.
        from_ms: that time.
        read_ms: when the reading began: later events are recorded as they come.
        is_oldest: whether the topic has no older events.
    """
    return Recorded(
        it.kept_ms,
        min(it.floor_ms, from_ms),
        {need: min(since, from_ms) for need, since in it.since.items()},
        read_ms,
        from_ms if is_oldest else 0,
    )


def complete_from(it: Recorded, needs: Collection[str]) -> int:
    """Since when everything that one rule reads is known; 0 = ever since."""
    return max((it.floor_ms, *(it.since[need] for need in needs)))
