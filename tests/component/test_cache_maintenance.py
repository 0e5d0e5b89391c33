"""The agents of cache commands and of customer-updated, without a broker."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from agents.customer_lookup import topics
from agents.customer_lookup.cache_commands import (
    CacheCommand,
    Cause,
    Evict,
    EvictPrefix,
    Forget,
    ForgetCustomer,
    Refresh,
    Replace,
)
from agents.customer_lookup.cache_maintenance import CacheMaintenanceAgent
from agents.customer_lookup.customer_updates import CustomerUpdatesAgent
from agents.customer_lookup.events.commands import commanded, read_cache_command
from agents.customer_lookup.topics import CACHE_COMMANDS, CUSTOMER_UPDATED
from posstream.forgetting.marks import (
    Forgotten,
    subject_of_customer,
    subject_of_identifier,
)
from posstream.forgetting.record import forgotten
from posstream.kafka.record import Record
from posstream.kafka.topics import CUSTOMER_FORGOTTEN
from tables.cache_spec import CACHE_CHANGELOG
from tables.customer_cache import CachePartition
from tables.freshness import CacheEntry
from tables.partitioned import home
from tests.component.fakes import (
    NOW_MS,
    FakePublisher,
    FakeReadModel,
    FixedClock,
    failures_of,
    john,
)
from tests.component.kept_cache import PARTITIONS, Event, FakeApp, KeptCache, Message
from tests.lookup_metrics import RegisteredMetrics

JOHN = CacheEntry(NOW_MS, b'{"customer_id":"CUST_001"}')


class ForgetfulLookup:
    """Notes for which identifiers a call under way is not to fill the cache."""

    def __init__(self) -> None:
        self.forgotten: list[str] = []
        self.refreshed: list[tuple[Refresh, CachePartition]] = []

    def refresh(self, command: Refresh, cache: CachePartition) -> None:
        self.refreshed.append((command, cache))

    def forget_prefix(self, prefix: str) -> None: ...

    def forget(self, identifier: str) -> None:
        self.forgotten.append(identifier)


class Maintenance:
    """The agent of cache commands on a cache of its own."""

    def __init__(self, datadir: Path) -> None:
        self.cache, self.app = KeptCache(datadir), FakeApp()
        self.publisher, self.metrics = FakePublisher(), RegisteredMetrics()
        self.app.failures = failures_of(self.app, self.publisher)
        self.lookup: Any = ForgetfulLookup()
        self.agent = CacheMaintenanceAgent(
            app=self.app,
            cache=self.cache.table,
            lookup=self.lookup,
            publisher=self.publisher,
            clock=FixedClock(),
            metrics=self.metrics,
        )

    async def do(self, command: CacheCommand) -> list[Event]:
        """Give a command to the partitions that it is for."""
        given = [event_of(record) for record in commanded(command, PARTITIONS)]
        await self.app.give(CACHE_COMMANDS, *given)
        return given

    def removed(self, why: str) -> float | None:
        return self.metrics.registry.get_sample_value("posstream_cache_removed_total", {"why": why})

    def entry(self, identifier: str) -> CacheEntry | None:
        return self.cache.table.partition(home(identifier, PARTITIONS)).get(identifier)


@pytest.fixture
async def maintenance(tmp_path: Path) -> Maintenance:
    return Maintenance(tmp_path)


def event_of(record: Record, **changes: Any) -> Event:
    partition = record.partition
    if partition is None:
        assert record.key is not None
        partition = home(record.key.decode(), PARTITIONS)
    return Event(
        Message(
            record.value, topic=record.topic, key=record.key, **({"partition": partition} | changes)
        )
    )


# -- cache commands


async def test_an_eviction_removes_one_entry_for_good(maintenance: Maintenance) -> None:
    maintenance.cache.put("+491", JOHN)
    maintenance.cache.put("+492", JOHN)
    (event,) = await maintenance.do(Evict("+491"))
    assert maintenance.cache.identifiers == {"+492"}
    assert maintenance.cache.tombstones == {(home("+491", PARTITIONS), "+491")}
    assert maintenance.lookup.forgotten == ["+491"]
    assert (event.acked, maintenance.removed("evicted")) == (True, 1)
    waiting = maintenance.cache.app.producer.buffer.size
    assert maintenance.cache.flushed[-1] == waiting, "the changelog had all when it was acked"


async def test_a_refresh_is_left_to_the_use_case_and_the_entry_stays(
    maintenance: Maintenance,
) -> None:
    maintenance.cache.put("+491", JOHN)
    command = Refresh("+491", "lookup-1")
    (event,) = await maintenance.do(command)
    ((asked, cache),) = maintenance.lookup.refreshed
    assert (asked, cache.get("+491")) == (command, JOHN)
    assert event.acked
    assert maintenance.cache.tombstones == set()


async def test_an_eviction_of_nothing_writes_no_tombstone_but_stops_a_call_under_way(
    maintenance: Maintenance,
) -> None:
    (event,) = await maintenance.do(Evict("+491", Cause.UPDATED))
    assert maintenance.cache.tombstones == set()
    assert maintenance.lookup.forgotten == ["+491"]
    assert (event.acked, maintenance.removed("updated")) == (True, 0)


async def test_forgetting_removes_the_entry_and_then_marks_who_it_was(
    maintenance: Maintenance,
) -> None:
    maintenance.cache.put("+491", JOHN)
    maintenance.cache.put("+492", JOHN)
    (event,) = await maintenance.do(Forget("+491", ("CUST_001",)))
    assert maintenance.cache.identifiers == {"+492"}
    assert maintenance.cache.tombstones == {(home("+491", PARTITIONS), "+491")}
    assert maintenance.lookup.forgotten == ["+491"]
    assert (event.acked, maintenance.removed("forgotten")) == (True, 1)
    assert maintenance.publisher.records == [
        forgotten(Forgotten(subject_of_identifier("+491"), NOW_MS, 1)),
        forgotten(Forgotten(subject_of_customer("CUST_001"), NOW_MS)),
    ]
    assert maintenance.cache.flushed, "the changelog had the tombstone when it was marked"


async def test_forgetting_nobody_is_marked_too_and_later_than_the_last_time(
    maintenance: Maintenance,
) -> None:
    (event,) = await maintenance.do(Forget("+491", after_ms=NOW_MS + 7))
    assert maintenance.lookup.forgotten == ["+491"]
    assert event.acked
    subject = subject_of_identifier("+491")
    assert maintenance.publisher.records == [forgotten(Forgotten(subject, NOW_MS + 8))]


async def test_a_customer_to_whom_no_identifier_leads_is_marked_in_whatever_partition(
    maintenance: Maintenance,
) -> None:
    maintenance.cache.put("+491", JOHN)
    for command in (ForgetCustomer("CUST_001"), ForgetCustomer("C2", NOW_MS + 7)):
        (event,) = await maintenance.do(command)
        assert event.acked
    assert maintenance.cache.identifiers == {"+491"}
    assert maintenance.publisher.records == [
        forgotten(Forgotten(subject_of_customer("CUST_001"), NOW_MS)),
        forgotten(Forgotten(subject_of_customer("C2"), NOW_MS + 8)),
    ]


async def test_a_mark_that_the_broker_does_not_take_leaves_the_command_to_be_done_again(
    maintenance: Maintenance,
) -> None:
    maintenance.publisher.fail()
    (event,) = await maintenance.do(Forget("+491"))
    assert (event.acked, len(maintenance.app.crashed)) == (False, 1)


async def test_a_prefix_evicts_what_starts_so_and_no_more(maintenance: Maintenance) -> None:
    matching = {"+49", *(f"+49{number}" for number in range(300))}
    others = {"+4", "+48", "+50", "CARD_49", "a+49@b.example"}
    for identifier in matching | others:
        maintenance.cache.put(identifier, JOHN)
    given = await maintenance.do(EvictPrefix("+49"))
    assert maintenance.cache.identifiers == others
    assert {identifier for _, identifier in maintenance.cache.tombstones} == matching
    assert ([event.acked for event in given], maintenance.removed("evicted")) == ([True] * 3, 301)


async def test_the_empty_prefix_evicts_all_but_fausts_offset(maintenance: Maintenance) -> None:
    for number in range(130):
        maintenance.cache.put(f"CARD_{number}", JOHN)
    maintenance.cache.persist_offset(1, 77)
    await maintenance.do(EvictPrefix(""))
    assert maintenance.cache.identifiers == set()
    assert maintenance.cache.persisted_offset(1) == 77


@pytest.mark.parametrize(
    ("present", "kept"),
    [
        (None, "new"),
        (CacheEntry(NOW_MS - 1, b'{"customer_id":"old"}'), "new"),
        (CacheEntry(NOW_MS - 1, None), "new"),
        (CacheEntry(NOW_MS + 1, b'{"customer_id":"old"}'), "old"),
    ],
)
async def test_data_replaces_what_is_not_newer(
    maintenance: Maintenance, present: CacheEntry | None, kept: str
) -> None:
    if present is not None:
        maintenance.cache.put("+491", present)
    (event,) = await maintenance.do(Replace("+491", CacheEntry(NOW_MS, b'{"customer_id":"new"}')))
    entry = maintenance.entry("+491")
    assert entry is not None
    assert orjson.loads(entry.document or b"") == {"customer_id": kept}
    assert maintenance.lookup.forgotten == (["+491"] if kept == "new" else [])
    assert event.acked


@pytest.mark.parametrize(
    "value",
    [b"", b"[]", b'{"op":"evict"}', b'{"op":"evict","identifier":"+1","cause":"?"}', b'{"op":1}'],
)
async def test_a_foreign_command_becomes_a_dead_letter(
    maintenance: Maintenance, value: bytes
) -> None:
    event = event_of(Record(topics.CACHE_COMMANDS, b"+1", value))
    await maintenance.app.give(CACHE_COMMANDS, event)
    (letter,) = maintenance.publisher.records
    assert (letter.topic, letter.value, event.acked) == (topics.DEAD_LETTERS, value, True)
    assert dict(letter.headers)["posstream.dlq.topic"] == topics.CACHE_COMMANDS.encode()


@pytest.mark.parametrize("elsewhere", [(home("+491", PARTITIONS) + 1) % PARTITIONS, PARTITIONS + 1])
async def test_a_command_in_another_partition_goes_to_that_of_its_entry(
    maintenance: Maintenance, elsewhere: int
) -> None:
    maintenance.cache.put("+491", JOHN)
    (record,) = commanded(Evict("+491"), PARTITIONS)
    event = event_of(record, partition=elsewhere)
    await maintenance.app.give(CACHE_COMMANDS, event)
    assert maintenance.cache.identifiers == {"+491"}
    (sent_on,) = maintenance.publisher.records
    assert sent_on == replace(record, partition=home("+491", PARTITIONS))
    assert event.acked
    await maintenance.app.give(CACHE_COMMANDS, event_of(sent_on))
    assert maintenance.cache.identifiers == set()


async def test_a_prefix_reaches_partitions_that_were_added_after_it_was_sent(
    maintenance: Maintenance,
) -> None:
    for record in commanded(EvictPrefix("+49"), PARTITIONS - 1):
        await maintenance.app.give(CACHE_COMMANDS, event_of(record))
    (sent_on,) = maintenance.publisher.records
    assert (sent_on.topic, sent_on.partition) == (topics.CACHE_COMMANDS, PARTITIONS - 1)
    await maintenance.app.give(CACHE_COMMANDS, event_of(sent_on))
    assert len(maintenance.publisher.records) == 1, "it is sent on once"


async def test_a_prefix_in_an_added_partition_has_nothing_to_remove(
    maintenance: Maintenance,
) -> None:
    maintenance.cache.put("+491", JOHN)
    *_, record = commanded(EvictPrefix("+49"), PARTITIONS + 1)
    event = event_of(record)
    await maintenance.app.give(CACHE_COMMANDS, event)
    assert (event.acked, maintenance.cache.identifiers) == (True, {"+491"})


async def test_a_customer_is_marked_as_forgotten_whichever_partition_says_so(
    maintenance: Maintenance,
) -> None:
    (record,) = commanded(ForgetCustomer("C-1", 5), PARTITIONS)
    await maintenance.app.give(CACHE_COMMANDS, event_of(record, partition=PARTITIONS))
    (sent_on,) = maintenance.publisher.records
    await maintenance.app.give(CACHE_COMMANDS, event_of(sent_on))
    assert [it.topic for it in maintenance.publisher.records[1:]] == [CUSTOMER_FORGOTTEN]


@pytest.mark.parametrize(
    "command",
    [Evict("+491"), EvictPrefix("+49"), Replace("+491", JOHN), Forget("+491", (), 0)],
)
async def test_while_entries_are_moved_a_command_waits_and_the_cache_is_read_only(
    maintenance: Maintenance, command: CacheCommand
) -> None:
    cache = maintenance.cache
    before = CacheEntry(0, b"{}")
    cache.put("+491", before)
    (record, *_) = commanded(command, PARTITIONS)
    event = event_of(record, partition=home("+491", PARTITIONS))
    cache.grow(CACHE_CHANGELOG, PARTITIONS + 1)
    doing = asyncio.ensure_future(maintenance.app.give(CACHE_COMMANDS, event))
    await asyncio.sleep(0)
    cache.put("+491", JOHN)
    assert (event.acked, maintenance.entry("+491")) == (False, before)
    assert not cache.table.partition(home("+491", PARTITIONS)).remove("+491")
    assert (maintenance.publisher.records, cache.tombstones) == ([], set())
    cache.thaw()
    async with asyncio.timeout(10):
        await doing
    assert event.acked


async def test_while_entries_are_moved_nothing_is_refreshed(maintenance: Maintenance) -> None:
    maintenance.cache.grow(CACHE_CHANGELOG, PARTITIONS + 1)
    (event,) = await maintenance.do(Refresh("+491", "L-1"))
    assert (event.acked, maintenance.lookup.refreshed) == (True, [])


@pytest.mark.parametrize("command", [Evict("+491"), EvictPrefix("+49"), Replace("+491", JOHN)])
async def test_a_command_waits_until_its_partition_is_recovered(
    maintenance: Maintenance, command: CacheCommand
) -> None:
    maintenance.cache.put("+491", CacheEntry(0, b"{}"))
    maintenance.cache.app.tables.actives_ready = False
    doing = asyncio.create_task(maintenance.do(command))
    for _ in range(5):
        await asyncio.sleep(0)
    assert maintenance.entry("+491") == CacheEntry(0, b"{}")
    assert not doing.done()
    maintenance.cache.app.tables.actives_ready = True
    given = await asyncio.wait_for(doing, 5)
    assert all(event.acked for event in given)
    assert maintenance.entry("+491") == (JOHN if isinstance(command, Replace) else None)


async def test_a_command_whose_partition_went_to_another_worker_is_left_to_it(
    maintenance: Maintenance,
) -> None:
    maintenance.cache.put("+491", JOHN)
    maintenance.cache.assign([])
    doing = asyncio.create_task(maintenance.do(Evict("+491")))
    for _ in range(5):
        await asyncio.sleep(0)
    maintenance.app.consumer_generation_id += 1
    (event,) = await asyncio.wait_for(doing, 5)
    assert not event.acked
    assert maintenance.cache.identifiers == {"+491"}


async def test_a_broken_store_crashes_the_worker_and_nothing_behind_it_is_acknowledged(
    maintenance: Maintenance,
) -> None:
    broken = OSError("the disk is gone")

    def forget(_: str) -> None:
        raise broken

    maintenance.lookup.forget = forget
    records = [*commanded(Evict("+491"), PARTITIONS), *commanded(Evict("+492"), 1)]
    given = [event_of(record) for record in records]
    await maintenance.app.give(CACHE_COMMANDS, *given)
    assert maintenance.app.crashed == [broken]
    assert [event.acked for event in given] == [False, False]


# -- customer-updated


class Updates:
    """The agent of customer-updated on a read model of its own."""

    def __init__(self) -> None:
        self.app, self.publisher = FakeApp(), FakePublisher()
        self.app.failures = failures_of(self.app, self.publisher)
        self.read_model = FakeReadModel(customers={"CUST_001": john()})
        self.agent = CustomerUpdatesAgent(
            app=self.app,
            read_model=self.read_model,
            publisher=self.publisher,
            clock=FixedClock(),
            partitions=PARTITIONS,
            card_guard=True,
            country_code=lambda: None,
        )

    async def come(self, **fields: object) -> Event:
        event = update_of(**fields)
        await self.app.give(CUSTOMER_UPDATED, event)
        return event

    @property
    def commands(self) -> list[CacheCommand]:
        records = self.publisher.records
        assert {record.topic for record in records} <= {topics.CACHE_COMMANDS}
        return [read_cache_command(record.value) for record in records]


def update_of(**fields: object) -> Event:
    return Event(Message(orjson.dumps(fields), topic=topics.CUSTOMER_UPDATED, timestamp=5.0))


@pytest.fixture
def updates() -> Updates:
    return Updates()


@pytest.mark.parametrize(
    "fields",
    [
        {"customer_id": "CUST_001"},
        {"customer_identifier": " JOHN@example.com"},
        {"customer_id": "CUST_001", "customer_identifier": "+1 (234) 567-890"},
    ],
)
async def test_news_without_data_evict_every_known_identifier(
    updates: Updates, fields: dict[str, str]
) -> None:
    event = await updates.come(**fields)
    assert updates.commands == [
        Evict("+1234567890", Cause.UPDATED),
        Evict("john@example.com", Cause.UPDATED),
    ]
    assert event.acked


async def test_the_commands_are_keyed_so_that_they_reach_the_entry(updates: Updates) -> None:
    await updates.come(customer_id="CUST_001")
    keys = [(record.key, record.partition) for record in updates.publisher.records]
    assert keys == [(b"+1234567890", None), (b"john@example.com", None)]


async def test_an_identifier_that_nobody_knows_is_evicted_all_the_same(updates: Updates) -> None:
    await updates.come(customer_identifier="+49 151")
    assert updates.commands == [Evict("+49151", Cause.UPDATED)]


async def test_a_customer_that_nobody_knows_is_no_error(updates: Updates) -> None:
    event = await updates.come(customer_id="CUST_999")
    assert (updates.commands, event.acked) == ([], True)


@pytest.mark.parametrize(
    ("occurred_at", "fetched_at_ms"),
    [
        ({"occurred_at": "2026-01-31T07:59:59.000Z"}, NOW_MS - 1000),
        ({"occurred_at": "2026-01-31T09:00:00.000Z"}, NOW_MS),
        ({}, 5000),
    ],
    ids=["the time it says", "a time to come is now", "the broker's timestamp without one"],
)
async def test_news_with_data_replace_every_known_entry(
    updates: Updates, occurred_at: dict[str, str], fetched_at_ms: int
) -> None:
    customer = {"customer_id": "CUST_001", "tier": "PLATINUM"}
    await updates.come(customer_id="CUST_001", customer=customer, **occurred_at)
    identifiers, documents, times = [], [], []
    for command in updates.commands:
        assert isinstance(command, Replace)
        identifiers.append(command.identifier)
        documents.append(orjson.loads(command.entry.document or b""))
        times.append(command.entry.fetched_at_ms)
    assert identifiers == ["+1234567890", "john@example.com"]
    assert times == [fetched_at_ms] * 2
    assert [(d["customer_id"], d["tier"], d["loyalty_points"]) for d in documents] == [
        ("CUST_001", "PLATINUM", 0)
    ] * 2


async def test_news_are_done_only_when_the_broker_has_the_commands(updates: Updates) -> None:
    acknowledgement: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    updates.publisher.acknowledgement = acknowledgement
    event = update_of(customer_identifier="+49151")
    doing = asyncio.create_task(updates.app.give(CUSTOMER_UPDATED, event))
    for _ in range(5):
        await asyncio.sleep(0)
    assert (len(updates.commands), event.acked) == (1, False)
    acknowledgement.set_result(None)
    await doing
    assert event.acked


async def test_news_wait_for_a_read_model_that_is_down(updates: Updates) -> None:
    updates.read_model.error = ConnectionError("down")
    event = update_of(customer_id="CUST_001")
    doing = asyncio.create_task(updates.app.give(CUSTOMER_UPDATED, event))
    for _ in range(5):
        await asyncio.sleep(0)
    assert (updates.commands, event.acked, updates.app.crashed) == ([], False, [])
    updates.read_model.error = None
    await asyncio.wait_for(doing, 5)
    assert (len(updates.commands), event.acked) == (2, True)


async def test_news_of_a_revoked_partition_are_left_to_whoever_has_it(updates: Updates) -> None:
    updates.read_model.error = ConnectionError("down")
    event = update_of(customer_id="CUST_001")
    doing = asyncio.create_task(updates.app.give(CUSTOMER_UPDATED, event))
    for _ in range(5):
        await asyncio.sleep(0)
    updates.app.consumer_generation_id += 1
    await asyncio.wait_for(doing, 5)
    assert (updates.commands, event.acked) == ([], False)


async def test_news_that_cannot_be_read_are_set_aside_and_the_next_ones_are_done(
    updates: Updates,
) -> None:
    bad, good = update_of(tier="GOLD"), update_of(customer_identifier="+49151")
    await updates.app.give(CUSTOMER_UPDATED, bad, good)
    letter, command = sorted(updates.publisher.records, key=lambda it: it.topic)
    assert (letter.topic, letter.value) == (topics.DEAD_LETTERS, bad.message.value)
    assert dict(letter.headers)["posstream.dlq.reason"] == b"MISSING_FIELD"
    assert command.topic == topics.CACHE_COMMANDS
    assert (bad.acked, good.acked) == (True, True)


async def test_a_broker_that_refuses_a_command_crashes_the_worker(updates: Updates) -> None:
    updates.publisher.fail()
    event = await updates.come(customer_identifier="+49151")
    assert (updates.app.crashed, event.acked) == ([updates.publisher.error], False)


def nested(depth: int) -> bytes:
    deep = b'{"a":' * depth + b"1" + b"}" * depth
    return b'{"customer_id":"C1","customer":{"customer_id":"C1","x":' + deep + b"}}"


@pytest.mark.parametrize("depth", [300, 600])
async def test_news_nested_too_deep_become_a_dead_letter_and_crash_nothing(
    updates: Updates, depth: int
) -> None:
    event = Event(Message(nested(depth), topic=topics.CUSTOMER_UPDATED, timestamp=5.0))
    await updates.app.give(CUSTOMER_UPDATED, event)
    assert event.acked
    assert not updates.app.crashed
    assert [record.topic for record in updates.publisher.records] == [topics.DEAD_LETTERS]


async def test_news_that_cannot_be_read_hold_nobody_up() -> None:
    updates = Updates()
    updates.publisher.acknowledgement = held = asyncio.get_running_loop().create_future()
    bad = [Event(Message(b"x", topic=topics.CUSTOMER_UPDATED, timestamp=5.0)) for _ in range(100)]
    good = update_of(customer_id="CUST_unknown")
    taking = asyncio.ensure_future(updates.app.give(CUSTOMER_UPDATED, *bad, good))
    async with asyncio.timeout(10):
        while not good.acked:  # noqa: ASYNC110 - it waits for anything
            await asyncio.sleep(0)
    assert not any(event.acked for event in bad), "the broker has none of them yet"
    held.set_result(None)
    await taking
    assert all(event.acked for event in bad)
    assert len(updates.publisher.records) == 100
