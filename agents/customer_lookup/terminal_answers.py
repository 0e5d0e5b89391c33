"""Makes the terminal answer to an identification: of a cache entry, or of a failure. Pure."""

from agents.customer_lookup.answers import (
    CustomerFound,
    Identification,
    LookupAnswer,
    LookupFailed,
    Reason,
    Source,
)
from agents.customer_lookup.configuration import LookupConfiguration
from tables.freshness import CacheEntry, age_ms, fresh_until_ms


def failed(  # noqa: PLR0913 - an answer says all of this
    asked: Identification,
    reason: Reason,
    message: str,
    plan: LookupConfiguration,
    *,
    attempts: int = 0,
    duration_ms: int = 0,
    source: Source | None = None,
) -> LookupFailed:
    """The answer without a customer."""
    return LookupFailed(
        asked=asked,
        reason=reason,
        error_message=message,
        attempts=attempts,
        duration_ms=duration_ms,
        config_version=plan.version,
        source=source,
    )


def of_entry(  # noqa: PLR0913 - an answer says all of this
    asked: Identification,
    entry: CacheEntry,
    source: Source,
    plan: LookupConfiguration,
    now_ms: int,
    *,
    attempts: int = 0,
    duration_ms: int = 0,
) -> LookupAnswer:
    """The answer with the customer of a cache entry, or NOT_FOUND if the entry says unknown."""
    if entry.document is None:
        return failed(
            asked,
            Reason.NOT_FOUND,
            "the directory does not know this identifier",
            plan,
            attempts=attempts,
            duration_ms=duration_ms,
            source=source,
        )
    return CustomerFound(
        asked=asked,
        source=source,
        document=entry.document,
        fetched_at_ms=entry.fetched_at_ms,
        fresh_until_ms=fresh_until_ms(entry, plan.windows),
        age_ms=age_ms(entry, now_ms),
        attempts=attempts,
        duration_ms=duration_ms,
        config_version=plan.version,
    )
