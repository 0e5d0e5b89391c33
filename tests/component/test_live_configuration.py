"""Edits and what workers make of them, on a store and a topic in memory."""

import asyncio
import logging
from dataclasses import replace

import pytest

from posstream.configuration.editing import Changed, Note, RefusalCode, Refused
from posstream.configuration.follower import TOMBSTONE, ConfigurationFollower
from posstream.configuration.record import write_record
from posstream.configuration.version import (
    UNEDITED,
    ConfigurationChange,
    ConfigurationVersion,
)
from posstream.metrics import Metrics
from tests.component.configuration_fakes import FakeStore, FakeTopic, live_configuration
from tests.component.fakes import NOW

ANNA = Note(by="anna")


class Worker:
    """One worker's configuration; a store and a topic may be shared."""

    def __init__(self, store: FakeStore | None = None, topic: FakeTopic | None = None) -> None:
        self.store = store or FakeStore()
        self.topic = topic or FakeTopic()
        self.metrics = Metrics()
        self.live = live_configuration(self.store, self.topic)
        self.current = self.live.current
        self.follower = ConfigurationFollower(self.live, self.metrics)

    @property
    def refused(self) -> float | None:
        return self.metrics.registry.get_sample_value("posstream_configuration_refused_total")


def a_version(number: int, *, by: str = "anna", **config: object) -> ConfigurationVersion:
    return ConfigurationVersion(number, config=config, updated_at=NOW, updated_by=by)


def stored(*versions: ConfigurationVersion) -> FakeStore:
    kept = {v.version: ConfigurationChange(v, old_enabled=True, old_config={}) for v in versions}
    return FakeStore(kept)


# -- edits


async def test_an_edit_is_stored_published_and_in_force() -> None:
    worker = Worker()
    note = Note(by="anna", description="slow CRM", expected_version=0)
    outcome = await worker.live.edit({"retry_attempts": 3}, enabled=False, note=note)

    new = ConfigurationVersion(1, False, {"retry_attempts": 3}, "slow CRM", NOW, "anna")
    assert outcome == Changed(new)
    assert worker.topic.published == [new]
    assert worker.store.changes == {1: ConfigurationChange(new, old_enabled=True, old_config={})}
    value = worker.current.value
    assert (value.version, value.enabled, value.retry_attempts) == (1, False, 3)


async def test_an_edit_builds_on_the_one_before_and_keeps_what_it_replaced() -> None:
    worker = Worker()
    await worker.live.edit({"retry_attempts": 3, "timeout_seconds": 1}, enabled=False, note=ANNA)
    await worker.live.edit({"timeout_seconds": None, "deadline_seconds": 2}, note=ANNA)
    change = worker.store.changes[2]
    assert change.version.config == {"retry_attempts": 3, "deadline_seconds": 2}
    assert change.version.enabled is False
    assert (change.old_enabled, change.old_config) == (
        False,
        {"retry_attempts": 3, "timeout_seconds": 1},
    )


async def test_an_edit_of_another_version_than_expected_is_a_conflict() -> None:
    worker = Worker()
    await worker.live.edit({"retry_attempts": 3}, note=ANNA)
    late = await worker.live.edit({"retry_attempts": 4}, note=Note(by="ben", expected_version=0))
    assert late == Refused(
        RefusalCode.CONFLICT, "somebody else was faster: the version is 1", version=1
    )
    assert worker.current.value.retry_attempts == 3
    assert len(worker.topic.published) == len(worker.store.changes) == 1


@pytest.mark.parametrize(
    ("config", "note", "named"),
    [
        ({"retry_attempts": 99}, ANNA, "retry_attempts: must be a whole number from 1 to 10"),
        ({"nothing": 1}, ANNA, "nothing: is not a key of this configuration"),
        ([], ANNA, "config: must be an object"),
        ({}, Note(by=""), "updated_by: must be 1 to 256 printable characters"),
        ({}, Note(by="x", description="\0"), "description: must be at most 1000"),
    ],
)
async def test_a_bad_edit_is_refused_by_name_and_changes_nothing(
    config: object, note: Note, named: str
) -> None:
    worker = Worker(stored(a_version(1)))
    outcome = await worker.live.edit(config, note=note)
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.version) == (RefusalCode.INVALID_CONFIGURATION, 1)
    assert outcome.message.startswith(named)
    assert (worker.topic.published, list(worker.store.changes)) == ([], [1])


async def test_an_edit_that_the_broker_does_not_take_leaves_nothing_behind() -> None:
    worker = Worker()
    worker.topic.down = True
    outcome = await worker.live.edit({"retry_attempts": 3}, note=ANNA)
    assert isinstance(outcome, Refused)
    assert outcome.code == RefusalCode.BROKER_UNAVAILABLE
    assert worker.store.changes == {}
    assert worker.current.in_force is UNEDITED
    worker.topic.down = False
    again = await worker.live.edit({"retry_attempts": 3}, note=Note(by="b", expected_version=0))
    assert isinstance(again, Changed)


@pytest.mark.parametrize(
    ("config", "enabled"),
    [
        (None, None),
        ({}, False),
        ({"retry_attempts": 3}, None),
        ({"timeout_seconds": None}, None),
        ({"deadline_seconds": 2.0}, None),
    ],
)
async def test_an_edit_that_changes_nothing_makes_no_version(
    config: object, *, enabled: bool | None
) -> None:
    worker = Worker()
    given = {"retry_attempts": 3, "deadline_seconds": 2}
    first = await worker.live.edit(given, enabled=False, note=ANNA)
    assert isinstance(first, Changed)
    outcome = await worker.live.edit(config, enabled=enabled, note=Note(by="b", description="x"))
    assert outcome == Changed(first.version, is_new=False)
    assert (worker.topic.published, list(worker.store.changes)) == ([first.version], [1])
    assert worker.current.in_force == first.version


async def test_the_first_edit_of_all_that_sets_nothing_leaves_the_defaults_unedited() -> None:
    worker = Worker()
    outcome = await worker.live.edit({"retry_attempts": None}, enabled=True, note=ANNA)
    assert outcome == Changed(UNEDITED, is_new=False)
    assert (worker.topic.published, worker.store.changes) == ([], {})


async def test_an_edit_that_changes_nothing_of_another_version_than_expected_is_a_conflict() -> (
    None
):
    worker = Worker(stored(a_version(1, retry_attempts=3)))
    late = Note(by="ben", expected_version=0)
    outcome = await worker.live.edit({"retry_attempts": 3}, note=late)
    assert isinstance(outcome, Refused)
    assert outcome.code is RefusalCode.CONFLICT


async def test_a_rollback_to_what_is_in_force_makes_no_version() -> None:
    worker = Worker(stored(a_version(1, retry_attempts=3), a_version(2, retry_attempts=3)))
    outcome = await worker.live.rollback(1, note=ANNA)
    assert isinstance(outcome, Changed)
    assert (outcome.version.version, outcome.is_new, worker.topic.published) == (2, False, [])


async def test_a_tombstone_over_the_defaults_is_a_version_on_the_topic_again() -> None:
    worker = Worker()
    await worker.follower.follow(write_record(a_version(1)))
    await worker.follower.follow(None)
    assert [(it.version, it.config) for it in worker.topic.published] == [(2, {})]


async def test_an_edit_counts_on_from_what_is_in_force_when_the_store_was_lost() -> None:
    worker = Worker()
    worker.current.put_in_force(a_version(6, retry_attempts=4))
    outcome = await worker.live.edit({"timeout_seconds": 1}, note=ANNA)
    assert isinstance(outcome, Changed)
    assert outcome.version.version == 7
    assert outcome.version.config == {"retry_attempts": 4, "timeout_seconds": 1}


# -- rollback


async def test_a_rollback_is_a_new_version_with_the_content_of_an_old_one() -> None:
    worker = Worker()
    await worker.live.edit({"retry_attempts": 3}, note=ANNA)
    await worker.live.edit({"retry_attempts": 4}, enabled=False, note=ANNA)
    outcome = await worker.live.rollback(note=Note(by="ben"))
    assert isinstance(outcome, Changed)
    expected = ConfigurationVersion(
        3, True, {"retry_attempts": 3}, "rollback to version 1", NOW, "ben"
    )
    assert outcome.version == expected
    assert [change.version.version for change in await worker.live.history()] == [3, 2, 1]


async def test_a_rollback_to_0_is_the_defaults() -> None:
    worker = Worker(stored(a_version(4, retry_attempts=3)))
    outcome = await worker.live.rollback(0, note=ANNA)
    assert isinstance(outcome, Changed)
    assert (outcome.version.version, outcome.version.config) == (5, {})


async def test_a_rollback_of_the_only_version_is_the_defaults() -> None:
    worker = Worker(stored(a_version(4, retry_attempts=3)))
    outcome = await worker.live.rollback(note=ANNA)
    assert isinstance(outcome, Changed)
    assert outcome.version.config == {}


@pytest.mark.parametrize(("store", "version"), [(stored(a_version(1)), 9), (FakeStore(), None)])
async def test_a_rollback_to_nothing_is_refused(store: FakeStore, version: int | None) -> None:
    outcome = await Worker(store).live.rollback(version, note=ANNA)
    assert isinstance(outcome, Refused)
    assert outcome.code == RefusalCode.UNKNOWN_VERSION


# -- a worker that follows the topic


async def test_a_record_is_in_force_and_kept_with_what_it_replaced() -> None:
    worker = Worker()
    first, second = a_version(1, retry_attempts=3), a_version(2, retry_attempts=4)
    for version in (first, second):
        await worker.follower.follow(write_record(version))
    assert worker.current.in_force == second
    assert worker.store.changes[2] == ConfigurationChange(second, True, first.config)


async def test_an_older_record_changes_nothing() -> None:
    worker = Worker()
    await worker.follower.follow(write_record(a_version(5, retry_attempts=5)))
    await worker.follower.follow(write_record(a_version(4, retry_attempts=4)))
    assert worker.current.value.retry_attempts == 5
    assert list(worker.store.changes) == [5]


async def test_of_two_records_with_one_number_the_later_one_counts() -> None:
    worker = Worker()
    await worker.follower.follow(write_record(a_version(1, retry_attempts=4)))
    await worker.follower.follow(write_record(a_version(1, retry_attempts=5)))
    assert worker.current.value.retry_attempts == 5
    assert worker.store.changes[1].version.config == {"retry_attempts": 5}


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (b"not json", "not JSON"),
        (write_record(a_version(2, retry_attempts=99)), "retry_attempts"),
        (write_record(a_version(2, unknown_key=1)), "unknown_key"),
        (write_record(a_version(2, timeout_seconds="1")), "timeout_seconds"),
    ],
)
async def test_a_bad_record_is_counted_named_and_leaves_the_last_good_version(
    value: bytes, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    worker = Worker()
    await worker.follower.follow(write_record(a_version(1, retry_attempts=3)))
    with caplog.at_level(logging.WARNING):
        await worker.follower.follow(value)
    assert worker.current.value.retry_attempts == 3
    assert worker.refused == 1
    assert [key in message for message in caplog.messages] == [True]
    await worker.follower.follow(write_record(a_version(2, retry_attempts=4)))
    assert worker.current.value.retry_attempts == 4


async def test_a_key_that_would_forge_a_log_line_stays_on_its_own(
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker = Worker()
    await worker.follower.follow(write_record(a_version(1, **{"x\nERROR forged": 1})))
    assert "\n" not in caplog.text.rstrip("\n")
    assert worker.refused == 1


async def test_a_store_that_is_down_does_not_stop_the_following() -> None:
    worker = Worker()
    worker.store.error = ConnectionError("down")
    await worker.follower.follow(write_record(a_version(1, retry_attempts=3)))
    await worker.follower.follow(write_record(a_version(2, retry_attempts=4)))
    assert worker.current.value.retry_attempts == 4


async def test_a_tombstone_is_the_defaults_and_the_next_version_on_one_worker_only() -> None:
    store, topic = FakeStore(), FakeTopic()
    workers = [Worker(store, topic), Worker(store, topic)]
    await workers[0].live.edit({"retry_attempts": 3}, enabled=False, note=ANNA)
    for worker in workers:
        await worker.follower.follow(write_record(topic.published[0]))
    for worker in workers:
        await worker.follower.follow(None)
        value = worker.current.value
        assert (value.retry_attempts, value.enabled) == (2, True)
    assert list(store.changes) == [1, 2]
    reset = topic.published[-1]
    assert (reset.version, reset.config, reset.updated_by) == (2, {}, TOMBSTONE)
    for worker in workers:
        await worker.follower.follow(write_record(reset))
        assert worker.current.in_force == reset


async def test_a_tombstone_with_the_store_down_is_the_defaults_all_the_same() -> None:
    worker = Worker()
    await worker.follower.follow(write_record(a_version(1, retry_attempts=3)))
    worker.store.error = ConnectionError("down")
    await worker.follower.follow(None)
    assert worker.current.value == worker.current.defaults


# -- a worker that starts


async def test_a_worker_on_a_broker_that_forgot_starts_with_the_last_version() -> None:
    last = a_version(3, retry_attempts=5)
    worker = Worker(stored(a_version(2), last))
    await worker.follower.settle()
    assert worker.current.in_force == last
    assert worker.topic.published == [last]


async def test_a_worker_whose_database_is_new_mirrors_the_topic() -> None:
    worker = Worker()
    worker.follower.take(write_record(a_version(7, retry_attempts=5)))
    await worker.follower.settle()
    assert worker.store.changes[7].version.config == {"retry_attempts": 5}
    assert worker.topic.published == []


async def test_a_worker_that_starts_after_a_tombstone_has_the_defaults_as_the_next_version() -> (
    None
):
    worker = Worker(stored(a_version(7, retry_attempts=5)))
    worker.follower.take(write_record(a_version(7, retry_attempts=5)))
    worker.follower.take(None)
    await worker.follower.settle()
    assert (worker.current.value.version, worker.current.value.retry_attempts) == (8, 2)
    assert worker.topic.published[-1].version == 8


async def test_a_worker_that_starts_for_the_first_time_has_the_defaults() -> None:
    worker = Worker()
    await worker.follower.settle()
    assert worker.current.value == worker.current.defaults
    assert (worker.topic.published, worker.store.changes) == ([], {})


async def test_a_stored_version_that_this_release_cannot_use_does_not_stop_the_start() -> None:
    worker = Worker(stored(a_version(3, key_of_another_release=1)))
    await worker.follower.settle()
    assert worker.current.value == worker.current.defaults
    assert worker.refused == 1


async def test_a_broker_that_fails_at_the_start_costs_only_the_copy_on_the_topic() -> None:
    worker = Worker(stored(a_version(3, retry_attempts=5)))
    worker.topic.down = True
    await worker.follower.settle()
    assert worker.current.value.retry_attempts == 5


async def test_two_editors_at_once_one_wins() -> None:
    worker = Worker()
    expecting = replace(ANNA, expected_version=0)
    outcomes = await asyncio.gather(
        worker.live.edit({"retry_attempts": 3}, note=expecting),
        worker.live.edit({"retry_attempts": 4}, note=expecting),
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Changed", "Refused"]
