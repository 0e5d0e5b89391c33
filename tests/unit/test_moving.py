"""Entries of the changelog move to the partitions of their keys, and a run that ended goes on."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from posstream.kafka.partitioner import partition_of
from tables.fraud_observations import fraud_observations_spec
from tables.moving import Change, move

OLD, NEW = 4, 6
KEYS = [f"+4930{number}".encode() for number in range(40)]
MOVING = [key for key in KEYS if partition_of(key, OLD) != partition_of(key, NEW)]


class KilledError(Exception):
    """The process was killed."""


@dataclass(frozen=True)
class Written:
    partition: int
    key: bytes
    value: bytes | None
    timestamp: int


@dataclass
class Changelog:
    """Records in the order in which they were written, each a millisecond after the one before."""

    records: list[Written] = field(default_factory=list)
    #: How many more changes are taken before the process is killed.
    left: int = 1_000_000

    def add(self, partition: int, key: bytes, value: bytes | None) -> None:
        self.records.append(Written(partition, key, value, len(self.records)))

    async def write(self, changes: list[Change]) -> None:
        for change in changes:
            if not self.left:
                raise KilledError
            self.left -= 1
            self.add(change.partition, change.key, change.value)

    async def read(self) -> AsyncIterator[Any]:
        for record in sorted(self.records, key=lambda it: it.partition):
            yield record

    async def move(self) -> int:
        return await move(self.read, self.write, NEW, lambda key: key)

    @property
    def entries(self) -> dict[tuple[int, bytes], bytes]:
        latest = {(it.partition, it.key): it.value for it in self.records}
        return {place: value for place, value in latest.items() if value is not None}


def grown() -> Changelog:
    changelog = Changelog()
    for key in KEYS:
        changelog.add(partition_of(key, OLD), key, b"old")
        changelog.add(partition_of(key, OLD), key, b"customer " + key)
    return changelog


AT_HOME = {(partition_of(key, NEW), key): b"customer " + key for key in KEYS}


async def test_each_entry_is_where_its_key_belongs_and_nowhere_else() -> None:
    changelog = grown()
    assert await changelog.move() == len(MOVING)
    assert changelog.entries == AT_HOME


async def test_what_is_in_its_place_is_not_written_again() -> None:
    changelog = grown()
    await changelog.move()
    before = len(changelog.records)
    assert (await changelog.move(), len(changelog.records)) == (0, before)


@pytest.mark.parametrize("taken", range(0, 2 * len(MOVING) + 1, 3))
async def test_killed_at_any_change_nothing_is_lost_and_the_next_run_ends_it(taken: int) -> None:
    changelog = grown()
    changelog.left = taken
    try:
        await changelog.move()
    except KilledError:
        assert {key for _, key in changelog.entries} == set(KEYS), "none is lost on the way"
    changelog.left = 1_000_000
    await changelog.move()
    assert changelog.entries == AT_HOME


async def test_a_deleted_entry_is_not_brought_back() -> None:
    changelog = grown()
    gone = MOVING[0]
    changelog.add(partition_of(gone, OLD), gone, None)
    await changelog.move()
    assert {key for _, key in changelog.entries} == set(KEYS) - {gone}


@pytest.mark.parametrize("newer", [b"newer", None])
async def test_what_the_new_partition_says_later_wins(newer: bytes | None) -> None:
    changelog = grown()
    key = MOVING[0]
    place = partition_of(key, NEW), key
    changelog.add(*place, newer)
    await changelog.move()
    assert changelog.entries.get(place) == newer
    assert (partition_of(key, OLD), key) not in changelog.entries


async def test_of_two_old_partitions_the_later_entry_wins() -> None:
    """After a growth that was ended before its time, and a second one to another number."""
    changelog = Changelog()
    key = MOVING[0]
    home = partition_of(key, NEW)
    first, second, *_ = [number for number in range(NEW) if number != home]
    changelog.add(second, key, b"earlier")
    changelog.add(first, key, b"later")
    await changelog.move()
    assert changelog.entries == {(home, key): b"later"}


async def test_the_segments_of_a_group_move_with_it_and_what_a_partition_notes_stays() -> None:
    changelog = Changelog()
    groups = [b'{"employee_id":"%d"}' % number for number in range(40)]
    for group in groups:
        for key in (group, group + b"#0"):
            changelog.add(partition_of(group, OLD), key, b"of " + group)
    for number in range(OLD):
        changelog.add(number, b"#recorded", b"of %d" % number)
    moving = sum(partition_of(it, OLD) != partition_of(it, NEW) for it in groups)
    placed_by = fraud_observations_spec().placed_by
    assert await move(changelog.read, changelog.write, NEW, placed_by) == 2 * moving > 0
    assert changelog.entries == {
        **{
            (partition_of(group, NEW), key): b"of " + group
            for group in groups
            for key in (group, group + b"#0")
        },
        **{(number, b"#recorded"): b"of %d" % number for number in range(OLD)},
    }
