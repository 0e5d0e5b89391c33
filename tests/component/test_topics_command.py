"""`posstream topics grow` where it is refused; `tests/integration/test_growth.py` has the rest."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import GroupCoordinatorNotAvailableError

from agents.customer_lookup.topics import CACHE, CUSTOMER_IDENTIFIED
from posstream.commands.topics import grow
from posstream.domain.errors import GrowthRefused
from posstream.kafka.embedded_broker import EmbeddedBroker, free_port
from posstream.kafka.growth import counted_by_workers, until_shared
from posstream.kafka.preflight import prepare_topics
from posstream.plugins.discovery import find_plugins
from posstream.settings import Settings
from posstream.streaming.co_partitioning import client_id


@pytest.fixture
async def settings(tmp_path: Path) -> AsyncIterator[Settings]:
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    yield Settings(
        broker=f"kafka://{broker.address}", datadir=tmp_path, explicit_topic_partitions=2
    )
    broker.stop()


async def made(settings: Settings) -> None:
    await prepare_topics(
        settings.bootstrap_servers, find_plugins().topics, partitions=2, replication=1
    )


async def test_where_no_worker_ever_ran_there_is_nothing_to_grow(settings: Settings) -> None:
    with pytest.raises(GrowthRefused, match="no worker ever ran on this broker"):
        await grow(settings, 4)


async def test_topics_of_a_plugin_that_never_ran_are_left_to_its_first_worker(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """That worker may be waiting for this command: topics of other plugins do not fit."""
    old = [topic for topic in find_plugins().topics if topic.name != "pos-events"]
    await prepare_topics(settings.bootstrap_servers, old, partitions=2, replication=1)
    assert await grow(settings, 2) == 0
    output = capsys.readouterr().out
    assert "basket-started has 2 partitions" in output
    assert "pos-events" not in output


async def test_partitions_are_not_taken_away(settings: Settings) -> None:
    await made(settings)
    with pytest.raises(GrowthRefused, match="has 2 partitions and Kafka cannot remove partitions"):
        await grow(settings, 1)


async def test_a_broker_that_cannot_add_partitions_is_named(settings: Settings) -> None:
    await made(settings)
    with pytest.raises(GrowthRefused, match="this broker cannot add partitions"):
        await grow(settings, 4)


async def test_topics_that_have_as_many_are_left_alone(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    await made(settings)
    assert await grow(settings, 2) == 0
    output = capsys.readouterr().out
    assert "moved 0 entries" in output
    assert [topic for topic in CACHE.topics if f"{topic} has 2 partitions" not in output] == []


def group(*members: tuple[str, Sequence[int]], error: int = 0) -> Any:
    """An admin client for a group of workers: their client ids, and what each was assigned."""
    told = [
        ("member", client, "host", b"", assignment_of(partitions)) for client, partitions in members
    ]
    answer = SimpleNamespace(groups=[(error, "posstream", "Stable", "consumer", "p", told)])

    async def describe_consumer_groups(_: list[str]) -> list[Any]:
        return [answer]

    return SimpleNamespace(describe_consumer_groups=describe_consumer_groups)


def assignment_of(partitions: Sequence[int]) -> bytes:
    assigned = [(CUSTOMER_IDENTIFIED, list(partitions))] if partitions else []
    return ConsumerProtocolMemberAssignment(0, assigned, b"").encode()


async def test_workers_tell_how_many_partitions_they_count() -> None:
    admin = group((client_id(4), [0]), ("faust-0.15.3", [1]))
    assert await counted_by_workers(admin, ["posstream"]) == [4, None]


async def test_a_group_that_cannot_be_described_is_not_taken_for_an_empty_one() -> None:
    with pytest.raises(GroupCoordinatorNotAvailableError):
        await counted_by_workers(group(error=15), ["posstream"])


@pytest.mark.parametrize("members", [[], [("a", [0, 2]), ("b", [1])]])
async def test_partitions_are_shared_once_the_workers_have_all_or_none_runs(
    members: list[tuple[str, list[int]]],
) -> None:
    await until_shared(group(*members), "posstream", CUSTOMER_IDENTIFIED, 3)
