"""The types of a lookup: the identification, each attempt, and the terminal answer. Pure."""

from dataclasses import dataclass
from typing import Protocol

from agents.customer_lookup.reasons import AttemptStatus, Reason, Source
from posstream.domain.customer import Customer
from posstream.domain.identifier import IdentifierKind


@dataclass(slots=True)
class Identification:
    """One `customer-identified` event, read and normalised. Nothing changes it afterwards.

    It is not frozen all the same. Python sets each field of a frozen instance by a call, which
    takes four times as long, and every cached lookup makes an `Identification` and a
    `CustomerFound`.

    `identifier` is normalised, or masked when it was refused (`refused` then says why).
    """

    lookup_id: str
    basket_id: str
    identifier: str
    kind: IdentifierKind | None
    #: When the till says that it happened, else when the broker got it; ms since 1970.
    identified_at_ms: int
    #: The deadline that the till asks for; None = the configured deadline.
    deadline_ms: int | None = None
    refused: str | None = None
    #: Wall time when a worker first took the event, if it was then sent on to the partition of
    #: its cache entry.
    taken_at_ms: int | None = None
    #: W3C trace context to hand on, if the input carried one.
    traceparent: str | None = None


@dataclass(slots=True)  # not frozen: see `Identification`
class Attempt:
    """One HTTP attempt that reached the wire."""

    number: int
    api_endpoint: str
    requested_at_ms: int
    responded_at_ms: int
    duration_ms: int
    status: AttemptStatus
    http_status: int | None = None
    #: What came back, decoded when it was JSON, cut to a bounded size.
    response_data: object = None
    error_message: str | None = None
    #: The customer_id in the response body, valid or not. Erasure finds the attempt by it.
    customer_id: str | None = None


@dataclass(slots=True)  # not frozen: see `Identification`
class AttemptOutcome:
    """One HTTP attempt and what it means: a customer, a reason, and whether to try again."""

    attempt: Attempt
    customer: Customer | None = None
    reason: Reason | None = None
    retryable: bool = False
    retry_after_seconds: float | None = None
    #: False if the attempt says that the directory itself is in trouble (the breaker counts it).
    healthy: bool = True


@dataclass(slots=True)  # not frozen: see `Identification`
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


@dataclass(slots=True)  # not frozen: see `Identification`
class DirectoryAnswer:
    """The outcome of a call to the directory: a customer, an unknown one, or why neither.

    `reason` None: `customer` is there. NOT_FOUND: the directory does not know the identifier.
    """

    attempts: tuple[Attempt, ...]
    customer: Customer | None = None
    reason: Reason | None = None
    error_message: str | None = None


@dataclass(slots=True)  # not frozen: see `Identification`
class CustomerFound:
    """The terminal answer with a customer (`customer-data-fetched`)."""

    asked: Identification
    source: Source
    document: bytes
    fetched_at_ms: int
    fresh_until_ms: int
    age_ms: int
    attempts: int
    duration_ms: int
    config_version: int


@dataclass(frozen=True, slots=True)
class LookupFailed:
    """The terminal answer without one (`customer-lookup-failed`)."""

    asked: Identification
    reason: Reason
    error_message: str
    attempts: int
    duration_ms: int
    config_version: int
    #: CACHE when an unknown was remembered, API when the directory just said so.
    source: Source | None = None


LookupAnswer = CustomerFound | LookupFailed
