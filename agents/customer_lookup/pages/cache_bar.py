"""A cached entry's two windows as a bar, and where in them it is now. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agents.customer_lookup.pages.wording import Tag
from posstream.domain.times import from_ms, to_ms
from tables.freshness import CacheEntry, Freshness, Windows, fresh_until_ms, judge

#: Where the windows end in a bar that is 100 wide. Not to scale: the fresh window is often a
#: small part of the stale one, and all of its moments should be told apart.
_FRESH_END: Final = 45.0
_STALE_END: Final = 92.0

_TAGS: Final = {
    Freshness.FRESH: Tag("fresh", "good"),
    Freshness.STALE: Tag("stale", "warn"),
    Freshness.EXPIRED: Tag("expired"),
}


@dataclass(frozen=True, slots=True)
class CacheBar:
    """An entry that was fetched at a moment, by the configuration in force."""

    tag: Tag
    fetched_at: datetime
    fresh_until: datetime
    stale_until: datetime
    #: How much of the bar each window takes; 0: there is no such window.
    fresh_width: float
    stale_width: float
    #: Where in it the mark of now is.
    now_at: float


def cache_bar(fetched_at: datetime, now_ms: int, windows: Windows) -> CacheBar:
    """The bar of a customer's entry.

    Args:
        fetched_at: when the directory was last asked.
        now_ms: wall time.
        windows: in force.
    """
    entry = CacheEntry(to_ms(fetched_at), b"")
    fresh_ms = fresh_until_ms(entry, windows) - entry.fetched_at_ms
    fresh_end = _FRESH_END if fresh_ms else 0.0
    stale_end = _STALE_END if windows.stale_ms > fresh_ms else fresh_end
    age = max(0, now_ms - entry.fetched_at_ms)
    if age < fresh_ms:
        now_at = fresh_end * age / fresh_ms
    elif age < windows.stale_ms:
        beyond = (age - fresh_ms) / (windows.stale_ms - fresh_ms)
        now_at = fresh_end + (stale_end - fresh_end) * beyond
    else:
        now_at = (stale_end + 100) / 2
    return CacheBar(
        tag=_TAGS[judge(entry, now_ms, windows)],
        fetched_at=fetched_at,
        fresh_until=from_ms(entry.fetched_at_ms + fresh_ms),
        stale_until=from_ms(entry.fetched_at_ms + windows.stale_ms),
        fresh_width=fresh_end,
        stale_width=stale_end - fresh_end,
        now_at=now_at,
    )
