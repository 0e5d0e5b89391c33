"""Counts answers in the five kinds that the console and `LookupStats` show. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from agents.customer_lookup.reasons import Reason, Source


@dataclass(frozen=True, slots=True)
class LookupSplit:
    """How many answers there were of each kind; `lookups` is their sum."""

    #: Customers from the fresh window of the cache.
    fresh: int = 0
    #: Customers from the stale window, as the directory failed.
    stale: int = 0
    #: Customers from the directory, or from a call shared.
    api: int = 0
    #: Identifiers that the directory does not know.
    unknown: int = 0
    #: No customer, for any other reason.
    failed: int = 0
    #: Answered by the fresh cache without a call: `fresh`, and unknowns that were remembered.
    hits: int = 0

    @property
    def lookups(self) -> int:
        """All answers."""
        return self.fresh + self.stale + self.api + self.unknown + self.failed

    @property
    def hit_ratio(self) -> float | None:
        """The share that needed no call because the cache was fresh; None without lookups."""
        return self.hits / self.lookups if self.lookups else None

    @property
    def failed_ratio(self) -> float | None:
        """The share that failed; unknown customers are no failures. None without lookups."""
        return self.failed / self.lookups if self.lookups else None


def split(answers: Mapping[tuple[str | None, str | None], int]) -> LookupSplit:
    """Count answers by their kind.

    Args:
        answers: how many there were by (source, reason); reason None: with a customer.
    """
    counts = dict.fromkeys(("fresh", "stale", "api", "unknown", "failed"), 0)
    hits = 0
    for (source, reason), count in answers.items():
        counts[_kind(source, reason)] += count
        hits += count if source == Source.CACHE else 0
    return LookupSplit(**counts, hits=hits)


def _kind(source: str | None, reason: str | None) -> str:
    if reason is not None:
        return "unknown" if reason == Reason.NOT_FOUND else "failed"
    if source == Source.CACHE:
        return "fresh"
    # A customer that does not come from the cache comes from the directory.
    return "stale" if source == Source.STALE_CACHE else "api"
