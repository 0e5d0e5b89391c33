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


@dataclass(frozen=True, slots=True)
class AttemptRequest:
    """What one attempt asks."""

    #: Normalised.
    identifier: str
    #: Base URL; the quoted identifier and `/` are appended to its path.
    endpoint: str
    #: For the whole attempt, connecting and reading included.
    timeout_seconds: float
    #: 1 for the first attempt of a lookup.
    number: int
    #: The trace context (W3C) of the event that leads the call, handed on.
    traceparent: str | None = None


class CustomerDirectory(Protocol):
    """The retailer's customer system."""

    async def attempt(self, asked: AttemptRequest) -> AttemptOutcome:
        """Ask once. Whatever goes wrong out there is an outcome, never an exception."""
        ...


class CustomerCache(Protocol):
    """The part of the customer cache that owns one event's identifier."""

    def get(self, identifier: str) -> CacheEntry | None:
        """The entry of a normalised identifier, however old."""
        ...

    def put(self, identifier: str, entry: CacheEntry) -> None:
        """Keep an entry, in the place of an older one."""
        ...
