"""The versions of the configuration in a real database."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup.configuration import LookupConfiguration
from posstream.configuration.editing import Changed, LiveConfiguration, Note, RefusalCode, Refused
from posstream.configuration.store import SqlConfigurationStore
from posstream.configuration.version import (
    UNEDITED,
    ConfigurationChange,
    ConfigurationVersion,
)
from posstream.read_model.engine import create_engine
from tests.component.configuration_fakes import FakeTopic, live_configuration
from tests.component.sql_databases import DATABASES, database, make_tables

AT = datetime(2026, 1, 31, 8, 0, 0, 123_000, tzinfo=UTC)


@pytest.fixture(params=DATABASES)
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with database(request.param, tmp_path) as url:
        engine = create_engine(url)
        await make_tables(engine)
        yield engine
        await engine.dispose()


@pytest.fixture
def store(engine: AsyncEngine) -> SqlConfigurationStore:
    return SqlConfigurationStore(engine, "customer_lookup")


def change(number: int, **config: object) -> ConfigurationChange:
    version = ConfigurationVersion(number, False, config, "why", AT, "anna")
    return ConfigurationChange(version, old_enabled=True, old_config={"timeout_seconds": 1.5})


async def test_a_store_without_versions_is_unedited(store: SqlConfigurationStore) -> None:
    assert await store.latest() == UNEDITED
    assert await store.find(1) is None
    assert await store.history(10) == []


async def test_a_version_is_kept_with_who_when_old_and_new(store: SqlConfigurationStore) -> None:
    kept = change(1, retry_attempts=3, cache_ttl_seconds=0.5, fallback_to_cache_on_error=False)
    assert await store.add(kept) is True
    assert await store.history(10) == [kept]
    assert await store.latest() == await store.find(1) == kept.version


async def test_the_history_is_newest_first_and_bounded(store: SqlConfigurationStore) -> None:
    for number in (1, 2, 10, 9):
        await store.add(change(number))
    assert [kept.version.version for kept in await store.history(3)] == [10, 9, 2]
    assert (await store.latest()).version == 10


async def test_a_number_that_is_taken_is_not_written_again(store: SqlConfigurationStore) -> None:
    first = change(1, retry_attempts=3)
    assert [await store.add(first), await store.add(change(1))] == [True, False]
    assert await store.history(10) == [first]


async def test_the_topic_s_version_takes_the_place_of_one_with_its_number(
    store: SqlConfigurationStore,
) -> None:
    first = change(1, retry_attempts=3)
    await store.mirror(first)
    second = replace(first, version=replace(first.version, config={}), old_config={"x": 1})
    await store.mirror(second)
    expected = replace(first, version=second.version)
    assert await store.history(10) == [expected], "what the first one replaced is kept"


async def test_a_removed_version_is_gone(store: SqlConfigurationStore) -> None:
    await store.add(change(1))
    await store.add(change(2))
    await store.remove(2)
    assert (await store.latest()).version == 1


async def test_plugins_do_not_see_each_other(
    engine: AsyncEngine, store: SqlConfigurationStore
) -> None:
    other = SqlConfigurationStore(engine, "another")
    await other.add(change(5))
    await store.add(change(1))
    await other.remove(1)
    assert ((await store.latest()).version, (await other.latest()).version) == (1, 5)


async def test_of_many_editors_at_once_exactly_one_wins(engine: AsyncEngine) -> None:
    topic = FakeTopic()

    def a_worker() -> LiveConfiguration[LookupConfiguration]:
        return live_configuration(SqlConfigurationStore(engine, "customer_lookup"), topic)

    outcomes = await asyncio.gather(
        *(
            a_worker().edit(
                {"retry_attempts": number}, note=Note(by=f"editor {number}", expected_version=0)
            )
            for number in range(1, 9)
        )
    )
    won = [outcome for outcome in outcomes if isinstance(outcome, Changed)]
    lost = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    assert (len(won), len(lost)) == (1, 7)
    assert {(refused.code, refused.version) for refused in lost} == {(RefusalCode.CONFLICT, 1)}
    assert topic.published == [won[0].version]
