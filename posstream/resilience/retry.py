"""Decides when to retry and how long to wait first (full jitter, Retry-After, retry budget).

Pure but for the injected randomness.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

#: HTTP statuses that another attempt may cure; any other 4xx is final.
RETRYABLE_STATUSES: Final = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with full jitter: uniform in [0, min(cap, base * 2^n)] seconds."""

    base_seconds: float = 0.1
    cap_seconds: float = 2.0
    uniform: Callable[[float, float], float] = random.uniform

    def pause_seconds(
        self, failed_attempts: int, retry_after_seconds: float | None = None
    ) -> float:
        """How long to wait after the nth failed attempt.

        Retry-After is a floor, not a suggestion (RFC 9110, section 10.2.3); the jitter on top
        keeps the tills of a shop from coming back at once.
        """
        ceiling = min(self.cap_seconds, self.base_seconds * 2 ** (failed_attempts - 1))
        return (retry_after_seconds or 0.0) + self.uniform(0.0, ceiling)


def growing_pauses(first_seconds: float = 0.2, longest_seconds: float = 10.0) -> Iterator[float]:
    """Seconds to wait after each failure, doubled each time up to the longest; without end."""
    pause = first_seconds
    while True:
        yield pause
        pause = min(pause * 2, longest_seconds)


class RetryBudget:
    """Retries as a share of first attempts, so that an outage is not answered with more load.

    A reserve lets a quiet shop retry at all; in an outage it is soon gone, and retries are one in
    five calls.
    """

    def __init__(self, *, share: float = 0.2, reserve: float = 5) -> None:
        self._share = share
        self._reserve = reserve
        self._balance = reserve

    def earn(self) -> None:
        """Add the share of one first attempt to the budget."""
        self._balance = min(self._reserve, self._balance + self._share)

    def spend(self) -> bool:
        """Take one retry from the budget; False if the budget is used up."""
        if self._balance < 1:
            return False
        self._balance -= 1
        return True


def retry_after_seconds(header: str | None, now_ms: int) -> float | None:
    """Read a Retry-After header: seconds, or an HTTP date. None if absent or unreadable."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text[:10]), 86_400))
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - now_ms / 1000)
