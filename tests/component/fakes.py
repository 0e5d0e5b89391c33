"""The ports in memory: what a component test gives to the web view."""

import asyncio
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import orjson

from agents.customer_lookup import PLUGIN
from agents.customer_lookup.answers import Attempt, AttemptOutcome, AttemptRequest
from agents.customer_lookup.forgetting import FORGETTING
from agents.customer_lookup.read_model.lookup_counts import LookupCounts
from agents.customer_lookup.read_model.records import (
    AnswerFilter,
    AnswerRow,
    AnswerWindow,
    BasketHistory,
    BasketRow,
    CustomerHistory,
    CustomerRow,
    LookupLogRow,
    LookupStatistics,
    MarkedAttempts,
)
from agents.customer_lookup.reasons import AttemptStatus, Reason
from agents.customer_lookup.topics import DEAD_LETTERS
from posstream.dead_letters.box import Selection, Survey
from posstream.dead_letters.letter import (
    Address,
    Letter,
    LetterList,
    NotReplayed,
    Prospect,
    Replay,
    Replayed,
    Replays,
    Source,
    WholeLetter,
)
from posstream.dead_letters.setting_aside import DeadLetters
from posstream.domain.customer import Customer, read_customer
from posstream.domain.errors import PublishFailed
from posstream.findings import Finding
from posstream.forgetting.forgetting import CustomerForgetting
from posstream.forgetting.marks import Forgotten, Trail
from posstream.kafka.record import Record
from posstream.kafka.survey import (
    Extent,
    FoundRecord,
    Group,
    GroupState,
    Place,
    Surveyed,
    TopicState,
)
from posstream.kafka.topics import DAY_MS, TopicSpec
from posstream.metrics import Metrics
from posstream.plugin import Plugin
from posstream.plugins.event_failures import EventFailures
from posstream.resilience.clock import Clock
from tables.customer_cache import encode
from tables.freshness import CacheEntry
from web.programs import HealthReport

NOW = datetime(2026, 1, 31, 8, 0, 0, tzinfo=UTC)
NOW_MS = 1_769_846_400_000


class FixedClock:
    """A clock that stands still."""

    def now_ms(self) -> int:
        return NOW_MS

    def monotonic(self) -> float:
        return 0.0


@dataclass
class FakePublisher:
    """Records what is published; can fail, and can hold acknowledgements back."""

    records: list[Record] = field(default_factory=list)
    error: Exception | None = None
    acknowledgement: Awaitable[None] | None = None

    async def send(self, record: Record) -> Awaitable[None]:
        if self.error is not None:
            raise self.error
        self.records.append(record)
        return asyncio.ensure_future(self._acknowledged())

    async def publish(self, record: Record) -> None:
        await (await self.send(record))

    async def _acknowledged(self) -> None:
        if self.acknowledgement is not None:
            await self.acknowledgement

    def fail(self) -> None:
        self.error = PublishFailed("no broker at 10.0.0.1")

    def value(self, index: int = 0) -> dict[str, Any]:
        return orjson.loads(self.records[index].value or b"")


@dataclass
class FakeReadModel:
    """Rows in dictionaries."""

    customers: dict[str, CustomerRow] = field(default_factory=dict)
    baskets: dict[str, BasketRow] = field(default_factory=dict)
    logs: list[LookupLogRow] = field(default_factory=list)
    answers: list[AnswerRow] = field(default_factory=list)
    statistics: LookupStatistics = field(
        default_factory=lambda: LookupStatistics({}, {}, None, None, 0)
    )
    histories: dict[str, BasketHistory] = field(default_factory=dict)
    customer_histories: dict[str, CustomerHistory] = field(default_factory=dict)
    #: By the moment at which they begin.
    windows: dict[datetime, AnswerWindow] = field(default_factory=dict)
    #: Of each step of a chart.
    counts: LookupCounts = field(default_factory=LookupCounts)
    marked: MarkedAttempts = field(default_factory=lambda: MarkedAttempts(0, 0))
    by_version: dict[int, Mapping[tuple[str | None, str | None], int]] = field(default_factory=dict)
    error: Exception | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def customer(self, customer_id: str) -> CustomerRow | None:
        self._ask(customer_id=customer_id)
        return self.customers.get(customer_id)

    async def customer_by_identifier(self, identifier: str) -> CustomerRow | None:
        self._ask(identifier=identifier)
        return next((c for c in self.customers.values() if identifier in c.identifiers), None)

    async def customers_by_ids(self, ids: Iterable[str]) -> Mapping[str, CustomerRow]:
        asked = sorted(ids)
        self._ask(customer_ids=asked)
        return {one: self.customers[one] for one in asked if one in self.customers}

    async def next_customers(
        self,
        *,
        first: int,
        after: str | None = None,
        tier: str | None = None,
        search: str | None = None,
        names_only: bool = False,
        identifiers: bool = True,
        rising: bool = True,
    ) -> Sequence[CustomerRow]:
        self._ask(first=first, after=after, tier=tier, search=search, names_only=names_only)
        wanted = [row for row in self.customers.values() if tier in {None, row.tier}]
        if not identifiers:
            wanted = [replace(row, identifiers=()) for row in wanted]
        rows = sorted(wanted, key=lambda row: row.customer_id, reverse=not rising)
        return [row for row in rows if after is None or row.customer_id > after][:first]

    async def count_customers(self, *, most: int, **_: Any) -> int:
        return min(most, len(self.customers))

    async def baskets_by_ids(self, ids: Iterable[str]) -> Mapping[str, BasketRow]:
        asked = sorted(ids)
        self._ask(basket_ids=asked)
        return {one: self.baskets[one] for one in asked if one in self.baskets}

    async def lookup_logs(self, **question: Any) -> Sequence[LookupLogRow]:
        self._ask(**question)
        return self.logs[: question["first"]]

    async def lookup_statistics(self, since: datetime) -> LookupStatistics:
        self._ask(since=since)
        return self.statistics

    async def windows_of_statistics(self, begins: Sequence[datetime]) -> list[LookupStatistics]:
        return [await self.lookup_statistics(it) for it in begins]

    async def lookup_counts(self, since: datetime, until: datetime) -> LookupCounts:
        self._ask(counts_since=since, counts_until=until)
        return self.counts

    async def answer_window(self, since: datetime, until: datetime) -> AnswerWindow:
        self._ask(since=since, until=until)
        return self.windows.get(since, AnswerWindow({}, None))

    async def marked_attempts(
        self, since: datetime, until: datetime, *, mark: str
    ) -> MarkedAttempts:
        self._ask(since=since, until=until, mark=mark)
        return self.marked

    async def answers_by_version(
        self, versions: Collection[int], since: datetime
    ) -> Mapping[int, Mapping[tuple[str | None, str | None], int]]:
        self._ask(versions=sorted(versions), since=since)
        return {one: self.by_version[one] for one in versions if one in self.by_version}

    async def customer_history(self, customer_id: str) -> CustomerHistory | None:
        self._ask(customer_id=customer_id)
        return self.customer_histories.get(customer_id)

    async def lookup_answers(
        self, wanted: AnswerFilter, *, first: int, **place: Any
    ) -> Sequence[AnswerRow]:
        self._ask(wanted=wanted, first=first, **place)
        return self.answers[:first]

    async def count_answers(self, wanted: AnswerFilter, *, most: int) -> int:
        self._ask(wanted=wanted)
        return min(most, len(self.answers))

    async def basket_history(self, basket_id: str) -> BasketHistory | None:
        self._ask(basket_id=basket_id)
        return self.histories.get(basket_id)

    def _ask(self, **question: Any) -> None:
        if self.error is not None:
            raise self.error
        self.asked.append(question)


CUSTOMERS_TOPIC = TopicSpec("customer-identified", "anything", "CustomerIdentified", 7 * DAY_MS)
LOOKUP_GROUP = Group(name="posstream", what="the plugin lookup", topics=("customer-identified",))


@dataclass
class FakeTopicSurvey:
    """One topic of two partitions and its group, one topic that is not there, and messages."""

    records: list[FoundRecord] = field(default_factory=list)
    error: Exception | None = None

    async def survey(self, topic: str | None = None) -> Surveyed:
        if self.error is not None:
            raise self.error
        missing = TopicSpec("posstream-missing", "k", "v", -1, "compact")
        topics = [
            TopicState(spec=CUSTOMERS_TOPIC, extents=(Extent(0, 5, 12), Extent(1, 0, 3))),
            TopicState(spec=missing, extents=()),
        ]
        places = (
            Place(partition=0, committed=10, lag=2),
            Place(partition=1, committed=None, lag=3),
        )
        group = GroupState(group=LOOKUP_GROUP, topic=CUSTOMERS_TOPIC.name, places=places)
        found = [it for it in topics if topic in {None, it.spec.name}]
        return Surveyed(topics=found, groups=[group] if topics[0] in found else [])

    async def newest(self, topic: str, count: int) -> Sequence[FoundRecord] | None:
        if self.error is not None:
            raise self.error
        return self.records[:count] if topic == CUSTOMERS_TOPIC.name else None


@dataclass
class FakeDeadLetterBox:
    """Letters in a dictionary; what is replayed is noted."""

    letters: dict[Address, WholeLetter] = field(default_factory=dict)
    prospects: dict[Address, Prospect | NotReplayed] = field(default_factory=dict)
    replayed: list[Address] = field(default_factory=list)
    listed: LetterList | None = None
    error: Exception | None = None
    #: What came of letters that were replayed.
    came_of: dict[Address, Replay] = field(default_factory=dict)
    replaying: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def replays(self, letters: Sequence[Letter]) -> Replays:
        asked = {it.address for it in letters}
        return Replays({it: replay for it, replay in self.came_of.items() if it in asked})

    async def survey(self, selection: Selection, *, look_back: bool) -> Survey:
        assert (selection.skips_hopeless, look_back) == (True, True)
        judged = [await self.prospect(it) for it in selection.addresses]
        await asyncio.sleep(0)  # a broker takes its time, and others come meanwhile
        return Survey(
            [it for it in judged if isinstance(it, Prospect)],
            [it for it in judged if isinstance(it, NotReplayed)],
            [],
            {},
        )

    async def replay_each(
        self, targets: Mapping[Address, Source]
    ) -> AsyncIterator[Replayed | NotReplayed]:
        for address in targets:
            yield await self.replay(address)

    async def newest(self) -> LetterList:
        self._check()
        whole = sorted(self.letters.values(), key=lambda it: it.letter.timestamp_ms, reverse=True)
        return self.listed or LetterList([it.letter for it in whole])

    async def find(self, address: Address) -> WholeLetter | None:
        self._check()
        return self.letters.get(address)

    async def prospect(self, address: Address) -> Prospect | NotReplayed:
        self._check()
        return self.prospects.get(address) or NotReplayed(address, "it is gone by now")

    async def replay(self, address: Address) -> Replayed | NotReplayed:
        self._check()
        judged = await self.prospect(address)
        if isinstance(judged, NotReplayed):
            return judged
        await asyncio.sleep(0)
        self.replayed.append(address)
        self.prospects[address] = replace(judged, before=judged.source)
        return Replayed(address, judged.source)

    def _check(self) -> None:
        if self.error is not None:
            raise self.error


@dataclass
class FakeErasure:
    """One known customer; whoever reads the commands confirms them, unless told not to."""

    publisher: FakePublisher
    #: The customer of every identifier, with the identifiers that lead there.
    known: Trail = field(default_factory=lambda: Trail(()))
    found: dict[str, int] = field(default_factory=lambda: {"customers": 0, "baskets": 0})
    confirms: bool = True

    @property
    def plugin(self) -> Plugin:
        """The customer lookup, with this customer."""
        part = replace(
            FORGETTING, trail=self.trail, trail_of_customer=self.trail_of_customer, rows=self.rows
        )
        return replace(PLUGIN, forgetting=part)

    def forgetting(
        self, *others: Plugin, publish: Callable[[Record], Awaitable[object]] | None = None
    ) -> CustomerForgetting:
        """The use case with this customer."""
        return CustomerForgetting(
            plugins=[self.plugin, *others],
            engine=None,  # type: ignore[arg-type] # nobody asks it
            publish=publish or self.publisher.publish,
            clock=FixedClock(),
            marks=self.marks,
            unmigrated=self.unmigrated,
        )

    async def unmigrated(self, *_: Any) -> Collection[str]:
        return ()

    async def trail(self, _: Any, identifier: str) -> Trail:
        others = tuple(one for one in self.known.identifiers if one != identifier)
        return Trail((*others, identifier), self.known.customer_ids)

    async def trail_of_customer(self, _: Any, customer_id: str) -> Trail:
        known = self.known.identifiers if customer_id in self.known.customer_ids else ()
        return Trail(known, (customer_id,))

    async def rows(self, _: Any, trail: Trail) -> Mapping[str, int]:
        gone = await self.marks(None, trail.subjects)
        return dict.fromkeys(self.found, 0) if gone else self.found

    async def marks(self, _: Any, subjects: Collection[str]) -> Mapping[str, Forgotten]:
        if not self.publisher.records or not self.confirms:
            return {}
        return {subject: Forgotten(subject, NOW_MS) for subject in subjects}


@dataclass
class FakeHealth:
    """Says what it is told to say."""

    liveness: HealthReport = field(default_factory=lambda: HealthReport(ok=True))
    readiness: HealthReport = field(default_factory=lambda: HealthReport(ok=True))
    found: list[Finding] = field(default_factory=list)

    def live(self) -> HealthReport:
        return self.liveness

    def ready(self) -> HealthReport:
        return self.readiness

    def findings(self) -> list[Finding]:
        return self.found


def john(**changes: Any) -> CustomerRow:
    """The seed's first customer as the read model has him."""
    values: dict[str, Any] = {
        "customer_id": "CUST_001",
        "identifier": "+1234567890",
        "first_name": "John",
        "last_name": "Doe",
        "email": "john@example.com",
        "phone": "+1234567890",
        "loyalty_points": 1250,
        "tier": "GOLD",
        "total_purchases": Decimal("1234.5"),
        "last_purchase_date": NOW,
        "created_at": NOW,
        "updated_at": NOW,
        "identifiers": ("+1234567890", "john@example.com"),
    }
    return CustomerRow(**(values | changes))


@dataclass
class FakeCache:
    """A partition of the customer cache in a dictionary."""

    entries: dict[str, CacheEntry] = field(default_factory=dict)
    #: False: it moved to another worker.
    at_hand: bool = True
    #: Raised whenever a stored value is read, and told to `check` by the reader.
    error: Exception | None = None
    checked: list[Exception] = field(default_factory=list)

    #: Whether partitions were added to the changelog, or to the source topic alone.
    co_partitioning: Any = field(
        default_factory=lambda: SimpleNamespace(is_frozen=False, is_apart=False)
    )

    def partition(self, _: int) -> "FakeCache":
        return self

    def holder(self, _: str) -> "FakeCache":
        return self

    def owns(self, _: int) -> bool:
        return self.at_hand

    def get(self, identifier: str) -> CacheEntry | None:
        return self.entries.get(identifier) if self.at_hand else None

    def put(self, identifier: str, entry: CacheEntry) -> None:
        self.entries[identifier] = entry

    def reader(self) -> Callable[[bytes], bytes | None] | None:
        return self._read if self.at_hand else None

    def check(self, why: Exception) -> None:
        self.checked.append(why)

    def _read(self, key: bytes) -> bytes | None:
        if self.error is not None:
            raise self.error
        entry = self.entries.get(key.decode())
        return None if entry is None else encode(entry)


@dataclass
class FakeDirectory:
    """A directory that answers what it is told to, once its gate is open."""

    outcome: Callable[[str], tuple[Customer | None, Reason | None]] = lambda identifier: (
        a_customer(identifier),
        None,
    )
    gate: asyncio.Event | None = None
    clock: Clock = field(default_factory=FixedClock)
    calls: list[str] = field(default_factory=list)
    traceparents: list[str | None] = field(default_factory=list)
    most_at_once: int = 0
    _now: int = 0

    async def attempt(self, asked: AttemptRequest) -> AttemptOutcome:
        self.calls.append(asked.identifier)
        self.traceparents.append(asked.traceparent)
        asked_at_ms = self.clock.now_ms()
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            async with asyncio.timeout(asked.timeout_seconds):
                await (self.gate.wait() if self.gate else asyncio.sleep(0))
            customer, reason = self.outcome(asked.identifier)
        except TimeoutError:
            customer, reason = None, Reason.TIMEOUT
        finally:
            self._now -= 1
        status = {None: AttemptStatus.SUCCESS, Reason.NOT_FOUND: AttemptStatus.NOT_FOUND}.get(
            reason, AttemptStatus.FAILED
        )
        at_ms = asked_at_ms
        return AttemptOutcome(
            Attempt(asked.number, asked.endpoint, at_ms, at_ms, 0, status, error_message=reason),
            customer=customer,
            reason=reason,
            retryable=reason in {Reason.TIMEOUT, Reason.API_ERROR},
            healthy=reason in {None, Reason.NOT_FOUND},
        )


def a_customer(identifier: str) -> Customer:
    """A customer whose id says by what it was found."""
    customer = read_customer({"customer_id": f"C-{identifier}"}, card_guard=True)
    assert isinstance(customer, Customer)
    return customer


def failures_of(app: Any, publisher: FakePublisher) -> EventFailures:
    """What an agent under test does with messages that it cannot handle."""
    letters = DeadLetters(
        topic=DEAD_LETTERS,
        publish=publisher.publish,
        clock=FixedClock(),
        metrics=Metrics(),
        per_minute=100,
    )
    return EventFailures(app, letters, FixedClock())
