"""What a lookup needs of the outside world: the directory and the cache, as Protocols."""

from dataclasses import dataclass
from typing import Protocol

from agents.customer_lookup.answers import Attempt
from agents.customer_lookup.reasons import Reason
from posstream.domain.customer import Customer
from tables.freshness import CacheEntry


@dataclass(frozen=True, slots=True)
class AttemptOutcome:
    """One HTTP attempt and what it means: a customer, a reason, and whether to try again."""

    attempt: Attempt
    customer: Customer | None = None
    reason: Reason | None = None
    retryable: bool = False
    retry_after_seconds: float | None = None
    #: False if the attempt says that the directory itself is in trouble (the breaker counts it).
    healthy: bool = True


class CustomerDirectory(Protocol):
    """The retailer's customer system."""

    async def attempt(
        self,
        identifier: str,
        *,
        endpoint: str,
        timeout_seconds: float,
        number: int,
        traceparent: str | None = None,
    ) -> AttemptOutcome:
        """Ask once. Every failure of the directory is an outcome, never an exception.

        Args:
            identifier: normalised.
            endpoint: base URL; the quoted identifier and `/` are appended to its path.
            timeout_seconds: for the whole attempt, connecting and reading included.
            number: 1 for the first attempt of a lookup.
            traceparent: the trace context (W3C) of the event that leads the call, handed on.
        """
        ...


class CustomerCache(Protocol):
    """The part of the customer cache that owns one event's identifier."""

    def get(self, identifier: str) -> CacheEntry | None:
        """The entry of a normalised identifier, however old."""
        ...

    def put(self, identifier: str, entry: CacheEntry) -> None:
        """Keep an entry, in the place of an older one."""
        ...
