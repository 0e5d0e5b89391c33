"""What the core needs of the outside world, as Protocols. Adapters implement them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol

from agents.customer_lookup.answers import Attempt, AttemptStatus, Reason, Source
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
        """Ask once. Whatever goes wrong out there is an outcome, never an exception.

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


@dataclass(frozen=True, slots=True)
class CustomerRow:
    """One customer in the read model."""

    customer_id: str
    #: The identifier by which the customer was last found.
    identifier: str
    first_name: str
    last_name: str
    email: str
    phone: str
    loyalty_points: int
    tier: str
    total_purchases: Decimal
    last_purchase_date: datetime | None
    created_at: datetime
    updated_at: datetime
    #: Every identifier that ever led here, sorted.
    identifiers: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class BasketRow:
    """One basket in the read model. What has not been seen yet is None."""

    basket_id: str
    employee_id: str | None
    terminal_id: str | None
    customer_id: str | None
    started_at: datetime | None
    identified_at: datetime | None


@dataclass(frozen=True, slots=True)
class LookupLogRow:
    """One HTTP attempt in the read model: `customer-lookup-logged`, field by field.

    What its record did not have is None.
    """

    event_id: str
    lookup_id: str | None
    attempt: int | None
    waiters: int | None
    basket_id: str | None
    customer_identifier: str
    identifier_kind: str | None
    api_endpoint: str | None
    request_timestamp: datetime
    response_timestamp: datetime | None
    status: str | None
    http_status: int | None
    response_data: Any
    error_message: str | None
    duration_ms: int | None
    #: When the call began that it is an attempt of.
    call_started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LogPosition:
    """A place in the list of attempts, which is ordered by both, newest first."""

    request_timestamp: datetime
    event_id: str


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """One terminal answer in the read model; `reason` None: it has a customer."""

    event_id: str
    lookup_id: str | None
    event_type: str
    basket_id: str
    customer_identifier: str
    identifier_kind: str | None
    customer_id: str | None
    source: str | None
    reason: str | None
    error_message: str | None
    attempts: int | None
    duration_ms: int | None
    age_ms: int | None
    config_version: int | None
    fetched_at: datetime | None
    fresh_until: datetime | None
    identified_at: datetime
    occurred_at: datetime


class AnswerOutcome(StrEnum):
    """How a terminal answer ended."""

    #: With a customer.
    FOUND = "FOUND"
    #: Without, because nobody knows the identifier (`NOT_FOUND`).
    UNKNOWN = "UNKNOWN"
    #: Without, for any other reason.
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFilter:
    """Which answers of the list are meant; None: whatever it is."""

    outcome: AnswerOutcome | None = None
    source: Source | None = None
    reason: Reason | None = None
    #: Exactly this one, normalised.
    identifier: str | None = None
    basket_id: str | None = None
    #: Answered then or later.
    since: datetime | None = None
    #: Answered before.
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class AnswerPosition:
    """A place in the list of answers, which is ordered by both, newest first."""

    occurred_at: datetime
    event_id: str


@dataclass(frozen=True, slots=True)
class IdentifierRow:
    """One identifier that leads to a customer now."""

    identifier: str
    kind: str | None
    first_seen_at: datetime
    #: When the directory was last asked with success. A cache entry is as old, if there is one.
    fetched_at: datetime


@dataclass(frozen=True, slots=True)
class CustomerHistory:
    """What the read model knows of one customer."""

    customer: CustomerRow
    identifiers: Sequence[IdentifierRow]
    #: The newest answers for these identifiers, failed ones too, newest first.
    answers: Sequence[AnswerRow]


@dataclass(frozen=True, slots=True)
class BasketHistory:
    """What the read model knows of one basket."""

    basket_id: str
    basket: BasketRow | None
    #: Its newest answers, oldest first.
    answers: Sequence[AnswerRow]
    #: The newest attempts of its own lookups, oldest first.
    attempts: Sequence[LookupLogRow]
    #: The attempts, of any basket, that brought the customers of its answers.
    origins: Sequence[LookupLogRow]
    customer: CustomerRow | None


@dataclass(frozen=True, slots=True)
class LookupStatistics:
    """What was counted in a window."""

    #: Answers by (source, reason); source None: neither cache nor directory was of use, reason
    #: None: with a customer.
    answers: Mapping[tuple[str | None, str | None], int]
    #: HTTP attempts by status.
    attempts: Mapping[str | None, int]
    #: Of the duration of an attempt, in milliseconds, by nearest rank; None without attempts.
    p50_ms: int | None
    p95_ms: int | None
    #: Lookups that shared the call of another one.
    coalesced: int


@dataclass(frozen=True, slots=True)
class AnswerWindow:
    """The answers from one moment up to but not including another."""

    #: By (source, reason), as in `LookupStatistics`.
    answers: Mapping[tuple[str | None, str | None], int]
    #: Of the duration of an answer, in milliseconds, by nearest rank; None without answers.
    p95_ms: int | None


@dataclass(frozen=True, slots=True)
class MarkedAttempts:
    """HTTP attempts, and those among them whose error message begins with a mark."""

    all: int
    marked: int


class ReadModel(Protocol):
    """The read model, read."""

    async def customer(self, customer_id: str) -> CustomerRow | None:
        """One customer by id."""
        ...

    async def customer_by_identifier(self, identifier: str) -> CustomerRow | None:
        """One customer by a normalised identifier, any of the known ones."""
        ...

    async def all_customers(
        self,
        *,
        tier: str | None = None,
        search: str | None = None,
        names_only: bool = False,
        limit: int = 100,
    ) -> Sequence[CustomerRow]:
        """Customers by customer_id, at most `limit`.

        Args:
            tier: exactly this tier.
            search: part of a name, e-mail, phone or identifier, in any writing.
            names_only: search names alone: whoever sees the others masked could guess them
                piece by piece.
            limit: 1 to 1,000.
        """
        ...

    async def customers_by_ids(self, ids: Iterable[str]) -> Mapping[str, CustomerRow]:
        """The customers among `ids` that exist, by id."""
        ...

    async def next_customers(
        self,
        *,
        first: int,
        after: str | None = None,
        tier: str | None = None,
        search: str | None = None,
        names_only: bool = False,
    ) -> Sequence[CustomerRow]:
        """The next customers by customer_id, at most `first` of them.

        Args:
            first: 1 to 1,000.
            after: only those whose customer_id is greater.
            tier: as in `all_customers`.
            search: as in `all_customers`.
            names_only: as in `all_customers`.
        """
        ...

    async def customer_history(self, customer_id: str) -> CustomerHistory | None:
        """One customer with identifiers and the newest answers; None if there is none."""
        ...

    async def basket(self, basket_id: str) -> BasketRow | None:
        """One basket by id."""
        ...

    async def baskets_by_ids(self, ids: Iterable[str]) -> Mapping[str, BasketRow]:
        """The baskets among `ids` of which anything was seen, by id."""
        ...

    async def lookup_logs(
        self,
        *,
        first: int,
        after: LogPosition | None = None,
        status: AttemptStatus | None = None,
        identifier: str | None = None,
        basket_id: str | None = None,
    ) -> Sequence[LookupLogRow]:
        """The next attempts, newest first, at most `first` of them.

        Args:
            first: 1 to 1,000.
            after: only those that come after this one in the list, so are older.
            status: exactly this one.
            identifier: exactly this one, normalised.
            basket_id: those of the lookups of this basket.
        """
        ...

    async def lookup_statistics(self, since: datetime) -> LookupStatistics:
        """What was counted from `since` on, answers and attempts each by their own time."""
        ...

    async def answer_window(self, since: datetime, until: datetime) -> AnswerWindow:
        """The answers from `since` up to but not including `until`."""
        ...

    async def marked_attempts(
        self, since: datetime, until: datetime, *, mark: str
    ) -> MarkedAttempts:
        """The attempts of a window that were told apart by the start of their error message."""
        ...

    async def answers_by_version(
        self, versions: Collection[int], since: datetime
    ) -> Mapping[int, Mapping[tuple[str | None, str | None], int]]:
        """The answers from `since` on by the version of the configuration they were made by.

        Each by (source, reason); a version without answers is not there.
        """
        ...

    async def lookup_answers(
        self,
        wanted: AnswerFilter,
        *,
        first: int,
        older_than: AnswerPosition | None = None,
        newer_than: AnswerPosition | None = None,
    ) -> Sequence[AnswerRow]:
        """The terminal answers next to a place, newest first, at most `first` of them.

        Args:
            wanted: all of its conditions hold.
            first: 1 to 1,000.
            older_than: those that come right after this one in the list.
            newer_than: those that come right before it; not together with `older_than`.
        """
        ...

    async def basket_history(self, basket_id: str) -> BasketHistory | None:
        """All that is known of one basket; None if nothing of it was seen."""
        ...
