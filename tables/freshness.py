"""How old a cached answer may be: the fresh, stale and negative windows. Pure.

The windows are RFC 5861's: fresh `[0, fresh)`, stale-if-error `[fresh, stale)`, nothing beyond.
A remembered unknown (RFC 2308) has its own, shorter window and is never served stale.
"""

import math
from dataclasses import dataclass
from enum import Enum
from typing import Final

#: A `fetched_at` this far ahead of our clock is taken for clock skew between workers; beyond
#: it the clock has jumped and the entry's true age is unknown, so the entry is not served.
MAX_SKEW_MS: Final = 5_000
#: The shortest time before the end of a fresh window in which it is refreshed.
_LAST_MS: Final = 120_000


class Freshness(Enum):
    """What may be done with an entry."""

    FRESH = "fresh"  #: serve it, no call
    STALE = "stale"  #: call; serve it if the call fails
    EXPIRED = "expired"  #: call; never serve it


@dataclass(frozen=True, slots=True)
class Windows:
    """The three windows in milliseconds, each counted from `fetched_at`."""

    fresh_ms: int
    stale_ms: int
    negative_ms: int


@dataclass(slots=True)  # not frozen: a frozen one takes four times as long to make
class CacheEntry:
    """What the directory said of one identifier, and when.

    `document` is the customer as the UTF-8 JSON of the contract: hits are answered by splicing
    it into the answer, so it is never decoded on the way. None remembers an unknown one.
    """

    fetched_at_ms: int
    document: bytes | None


def age_ms(entry: CacheEntry, now_ms: int) -> int:
    """The age of an entry; never negative, even if clocks were set."""
    return max(0, now_ms - entry.fetched_at_ms)


def judge(entry: CacheEntry, now_ms: int, windows: Windows) -> Freshness:
    """Which window an entry is in at `now_ms` (milliseconds since 1970)."""
    if entry.fetched_at_ms > now_ms + MAX_SKEW_MS:
        return Freshness.EXPIRED
    age = age_ms(entry, now_ms)
    if entry.document is None:
        return Freshness.FRESH if age < windows.negative_ms else Freshness.EXPIRED
    if age < min(windows.fresh_ms, windows.stale_ms):
        return Freshness.FRESH
    return Freshness.STALE if age < windows.stale_ms else Freshness.EXPIRED


def fresh_until_ms(entry: CacheEntry, windows: Windows) -> int:
    """The end of the fresh (or negative) window, in milliseconds since 1970."""
    fresh_ms = min(windows.fresh_ms, windows.stale_ms)
    window = windows.negative_ms if entry.document is None else fresh_ms
    return entry.fetched_at_ms + window


def never_refreshed_ms(windows: Windows) -> int:
    """The age below which no entry is refreshed ahead, for any jitter."""
    fresh_ms = min(windows.fresh_ms, windows.stale_ms)
    return math.floor(fresh_ms - min(fresh_ms / 2, max(fresh_ms * 0.2, _LAST_MS)))


def refresh_due(entry: CacheEntry, now_ms: int, windows: Windows, jitter: float) -> bool:
    """Whether a fresh customer that is in use should be fetched anew before a till must wait.

    A refresh is due in the last 10 to 20 % of the fresh window, but at least in its last two
    minutes (or half of it, if it is shorter than four): a key that is scanned every minute is
    always refreshed in time. The jitter spreads the refreshes, as in XFetch (Vattani, Chierichetti,
    Lowenstein, VLDB 2015), but is fixed per entry instead of drawn at each hit.

    Args:
        entry: what the cache has.
        now_ms: wall time.
        windows: in force.
        jitter: 0 to 1, the same for every hit on this entry.
    """
    if entry.document is None or judge(entry, now_ms, windows) is not Freshness.FRESH:
        return False
    fresh_ms = min(windows.fresh_ms, windows.stale_ms)
    share = fresh_ms * (0.1 + 0.1 * jitter)
    return fresh_ms - age_ms(entry, now_ms) <= min(fresh_ms / 2, max(share, _LAST_MS))
