"""What the core needs of the outside world, as Protocols. Adapters implement them."""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from posstream.domain.configuration_version import ConfigurationChange, ConfigurationVersion
from posstream.domain.customer import Customer
from posstream.domain.freshness import CacheEntry
from posstream.domain.lookup import Attempt, Reason


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
        self, identifier: str, *, endpoint: str, timeout_seconds: float, number: int
    ) -> AttemptOutcome:
        """Ask once. Whatever goes wrong out there is an outcome, never an exception.

        Args:
            identifier: normalised.
            endpoint: base URL; the quoted identifier and `/` are appended to its path.
            timeout_seconds: for the whole attempt, connecting and reading included.
            number: 1 for the first attempt of a lookup.
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
class Record:
    """One message for a topic. `partition` None: by the key, as Kafka's clients do."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    partition: int | None = None


class EventPublisher(Protocol):
    """The topics, written."""

    async def send(self, record: Record) -> Awaitable[None]:
        """Hand a record over; the result completes when the broker acknowledged it (acks=all).

        Raises:
            PublishFailed: from either await, when the broker did not take it.
        """
        ...

    async def publish(self, record: Record) -> None:
        """Hand a record over and wait for the broker's acknowledgement."""
        ...


class Projection(Protocol):
    """The read model, written: idempotent, and guarded against older data."""

    async def apply(self, events: "Sequence[ProjectedEvent]") -> None:
        """Write a batch; order within the batch does not matter.

        Raises:
            Exception: whatever the database raises that may pass; the caller tries the batch
                again. What would never pass is logged and skipped.
        """
        ...


@dataclass(frozen=True, slots=True)
class ProjectedEvent:
    """A decoded record of one of the projected topics."""

    topic: str
    value: Mapping[str, Any]
    #: Where it lies, for the log: topic/partition/offset.
    place: str = ""


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


class ReadModel(Protocol):
    """The read model, read."""

    async def customer(self, customer_id: str) -> CustomerRow | None:
        """One customer by id."""
        ...

    async def customer_by_identifier(self, identifier: str) -> CustomerRow | None:
        """One customer by a normalised identifier, any of the known ones."""
        ...

    async def all_customers(
        self, *, tier: str | None = None, search: str | None = None, limit: int = 100
    ) -> Sequence[CustomerRow]:
        """Customers by customer_id, at most `limit`.

        Args:
            tier: exactly this tier.
            search: part of a name, e-mail, phone or identifier, in any case.
            limit: 1 to 1,000.
        """
        ...

    async def basket(self, basket_id: str) -> BasketRow | None:
        """One basket by id."""
        ...


class ConfigurationStore(Protocol):
    """The versions of one plugin's live configuration, kept: who, when, old and new.

    Every method may raise the database's errors.
    """

    async def latest(self) -> ConfigurationVersion:
        """The newest version; `UNEDITED` if there is none."""
        ...

    async def find(self, version: int) -> ConfigurationVersion | None:
        """One version."""
        ...

    async def history(self, limit: int) -> Sequence[ConfigurationChange]:
        """The newest versions, newest first."""
        ...

    async def add(self, change: ConfigurationChange) -> bool:
        """Keep a new version; False if its number is taken."""
        ...

    async def mirror(self, change: ConfigurationChange) -> None:
        """Keep a version as the topic has it, whether its number is taken or not."""
        ...

    async def remove(self, version: int) -> None:
        """Forget a version that no worker was told of."""
        ...


class ConfigurationPublisher(Protocol):
    """The topic `plugin-configuration`, written."""

    async def publish(self, version: ConfigurationVersion) -> None:
        """Write a version and wait for the broker's acknowledgement.

        Raises:
            PublishFailed: if the broker did not take it.
        """
        ...
