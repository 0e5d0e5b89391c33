"""What every plugin must do, asked of each that is found, and of the toy."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from posstream.configuration.model import edited
from posstream.domain.errors import InvalidConfiguration
from posstream.forgetting.marks import Trail
from posstream.kafka.topics import DAY_MS, DEAD_LETTER_MAX_BYTES, PLATFORM_TOPICS
from posstream.plugin import Plugin
from posstream.plugins.discovery import find_plugins
from posstream.read_model.engine import create_engine
from posstream.read_model.migrate import upgrade
from posstream.settings import Settings
from tests.plugins.checkouts import ROOT
from tests.plugins.toy import PLUGIN as TOY

PLUGINS = [*find_plugins(""), TOY]
#: Columns that name a customer: a table that has one of them must be erased and exported.
NAMING = re.compile(r"customer_id|customer_identifier|identifier|phone|email")
#: Text, a number, a list and an object: no type of a key takes all of them.
NONSENSE = ("\x00", -1e300, [[]], {"": None})

pytestmark = pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.name)


def owned(plugin: Plugin) -> set[str]:
    return {topic.name for topic in plugin.topics}


def documentation(plugin: Plugin) -> str:
    """The reference pages; a plugin of somebody else has a README."""
    pages = (ROOT / "docs" / "reference").glob("*.md")
    if plugin is TOY:
        pages = (ROOT / "tests" / "plugins" / "toy").glob("*.md")
    return "\n".join(page.read_text() for page in pages)


@pytest.fixture
async def engine(tmp_path: Path, plugin: Plugin) -> AsyncIterator[AsyncEngine]:
    """A new database with the tables of this plugin alone."""
    engine = create_engine(f"sqlite+aiosqlite:///{tmp_path / 'conformance.sqlite3'}")
    assert await upgrade(engine, [plugin]) == {}
    yield engine
    await engine.dispose()


def test_it_says_what_it_is(plugin: Plugin) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", plugin.name)
    assert re.fullmatch(r"[A-Z].*\.", plugin.description)


def test_it_declares_the_topics_that_it_uses(plugin: Plugin) -> None:
    known = owned(plugin) | {topic.name for topic in PLATFORM_TOPICS}
    changelogs = {table.changelog.name for table in plugin.tables}
    written = {event.topic for event in plugin.events if event.sent}
    projected = set() if plugin.read_model is None else set(plugin.read_model.projected)
    others = {name for it in PLUGINS if it is not plugin for name in owned(it)}
    assert written - known == set()
    assert projected - known - changelogs - others == set()
    assert {name for name in plugin.consumes if name not in known | others} == set()


def test_what_it_owns_is_nobody_else_s(plugin: Plugin) -> None:
    others = [it for it in PLUGINS if it is not plugin]
    assert [it.name for it in others if it.name == plugin.name or owned(it) & owned(plugin)] == []


def test_its_messages_that_cannot_be_read_have_a_place(plugin: Plugin) -> None:
    assert plugin.dead_letters is not None or not plugin.consumes
    for topic in plugin.topics:
        if topic.name == plugin.dead_letters:
            assert topic.retention_ms >= 7 * DAY_MS
            most = dict(topic.extra or {})["max.message.bytes"]
            assert int(most) >= DEAD_LETTER_MAX_BYTES
    assert set(plugin.replayable) <= set(plugin.consumes)


def test_it_is_documented(plugin: Plugin) -> None:
    text = documentation(plugin)
    names = [
        *owned(plugin),
        *(f"posstream_{metric.name}" for metric in plugin.metrics),
        *(plugin.settings.readers if plugin.settings is not None else ()),
        *(_keys(plugin) if plugin.configuration is not None else ()),
    ]
    assert [name for name in names if name not in text] == []


def test_each_event_has_an_example_that_its_model_reads(plugin: Plugin) -> None:
    for event in plugin.events:
        if event.model is not None:
            msgspec.convert(event.example, event.model)


def test_its_configuration_refuses_nonsense_by_name(plugin: Plugin) -> None:
    if plugin.configuration is None:
        pytest.skip("it has no live configuration")
    own = None if plugin.settings is None else Settings().own(plugin)
    defaults = plugin.configuration.defaults(Settings(), own)
    for key in _keys(plugin):
        refused = []
        for nonsense in NONSENSE:
            try:
                edited(defaults, {key: nonsense})
            except InvalidConfiguration as why:
                refused.append(why.key)
        assert refused[:1] == [key], key
    with pytest.raises(InvalidConfiguration) as why:
        edited(defaults, {"no_such_key": 1})
    assert why.value.key == "no_such_key"


def _keys(plugin: Plugin) -> list[str]:
    assert plugin.configuration is not None
    every = {field.name for field in msgspec.structs.fields(plugin.configuration.model)}
    return sorted(every - {"enabled", "version"})


async def test_it_erases_and_exports_each_table_that_names_a_customer(
    plugin: Plugin, engine: AsyncEngine
) -> None:
    tables = [] if plugin.read_model is None else plugin.read_model.tables()
    naming = {
        table.name for table in tables if any(NAMING.fullmatch(it.name) for it in table.columns)
    }
    if not naming:
        pytest.skip("no table of it names a customer")
    assert plugin.read_model is not None
    assert plugin.read_model.erase is not None
    assert plugin.forgetting is not None
    trail = await plugin.forgetting.trail(engine, "+1")
    assert "+1" in trail.identifiers
    counted = await plugin.forgetting.rows(engine, trail)
    assert naming - set(counted) == set()
    assert set(counted.values()) == {0}
    exported = await plugin.forgetting.export(engine, Trail(("+1",), ("C",)))
    msgspec.json.encode(exported)


async def test_its_migrations_make_its_tables(plugin: Plugin, engine: AsyncEngine) -> None:
    if plugin.read_model is None:
        pytest.skip("it has no tables")
    async with engine.connect() as connection:
        for table in plugin.read_model.tables():
            assert (await connection.execute(table.select().limit(1))).all() == []
