"""The rows that are read from the plugin's SQL tables, and the filters and places of lists."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from agents.customer_lookup.lookup_split import LookupSplit, split
from agents.customer_lookup.reasons import FAILED_ATTEMPTS, AttemptStatus, Reason, Source

#: The HTTP status by which attempts without a response are asked for.
NO_RESPONSE: Final = 0


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
    #: When the call of this attempt began.
    call_started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the list of attempts, ordered by both fields, newest first."""

    #: The `request_timestamp`.
    at: datetime
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
    #: Of its basket; None unless its start was seen and they were asked for.
    employee_id: str | None = None
    terminal_id: str | None = None


class AnswerOutcome(StrEnum):
    """How a terminal answer ended."""

    #: With a customer.
    FOUND = "FOUND"
    #: Without, because the directory does not know the identifier (`NOT_FOUND`).
    UNKNOWN = "UNKNOWN"
    #: Without, for any other reason.
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFilter:
    """Conditions on the answers of the list; a field that is None is no condition."""

    outcome: AnswerOutcome | None = None
    source: Source | None = None
    reason: Reason | None = None
    #: Normalised, and equal.
    identifier: str | None = None
    #: With this customer.
    customer_id: str | None = None
    basket_id: str | None = None
    #: Of a basket that was started there, or by that employee.
    terminal_id: str | None = None
    employee_id: str | None = None
    #: Of the live configuration that was in force.
    config_version: int | None = None
    #: Answered then or later.
    since: datetime | None = None
    #: Answered before.
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFilter:
    """Conditions on the attempts of the list; a field that is None is no condition."""

    status: AttemptStatus | None = None
    #: Or `NO_RESPONSE`.
    http_status: int | None = None
    #: The base URL, and equal.
    api_endpoint: str | None = None
    #: Normalised, and equal.
    customer_identifier: str | None = None
    #: That the response names.
    customer_id: str | None = None
    basket_id: str | None = None
    #: Asked then or later.
    since: datetime | None = None
    #: Asked before.
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class IdentifierRow:
    """One identifier that leads to a customer now."""

    identifier: str
    kind: str | None
    first_seen_at: datetime
    #: When the directory last answered a request with success; also the time of a cache entry.
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

    @property
    def split(self) -> LookupSplit:
        """The answers by their kind."""
        return split(self.answers)

    @property
    def failures(self) -> Sequence[tuple[str, int]]:
        """How many lookups failed for each reason, the most frequent reason first."""
        counts: Counter[str] = Counter()
        for (_, reason), count in self.answers.items():
            if reason not in {None, Reason.NOT_FOUND}:
                counts[str(reason)] += count
        return sorted(counts.items(), key=lambda item: (-item[1], item[0]))

    @property
    def failed_attempts(self) -> int:
        """HTTP attempts that ended FAILED or TIMEOUT; a 404 is an answer."""
        return sum(self.attempts.get(status, 0) for status in FAILED_ATTEMPTS)

    def figures(self) -> dict[str, Any]:
        """The figures of `lookupStats` by their names."""
        answers = self.split
        return {
            "lookups": answers.lookups,
            "fresh": answers.fresh,
            "stale": answers.stale,
            "api": answers.api,
            "unknown": answers.unknown,
            "failed": answers.failed,
            "failures": [{"reason": why, "count": count} for why, count in self.failures],
            "hit_ratio": answers.hit_ratio,
            "api_attempts": sum(self.attempts.values()),
            "api_failures": self.failed_attempts,
            "api_p50_ms": self.p50_ms,
            "api_p95_ms": self.p95_ms,
            "calls_saved_by_cache": answers.hits,
            "calls_saved_by_coalescing": self.coalesced,
        }


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
