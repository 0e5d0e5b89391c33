"""The page of each plugin says what the plugin declares."""

import re
from pathlib import Path

import pytest

from posstream.configuration.model import keys_of
from posstream.plugin import Plugin
from posstream.plugins.discovery import find_plugins
from tests.acceptance.test_docs import DOCS, table_rows
from tests.declared_metrics import declared

PLUGINS = list(find_plugins())
of_each_plugin = pytest.mark.parametrize("plugin", PLUGINS, ids=lambda it: it.name)


def page_of(plugin: Plugin) -> Path:
    return DOCS / "plugins" / f"{plugin.name.replace('_', '-')}.md"


def section(plugin: Plugin, title: str) -> str:
    """A section of its page; empty if the page has none of this name."""
    text = page_of(plugin).read_text()
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def names(text: str) -> set[str]:
    """What stands between backticks in the first column of tables."""
    rows = re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE)
    return set(re.findall(r"`([^`]+)`", " ".join(rows)))


def test_there_is_a_page_for_each_plugin_and_no_other() -> None:
    assert {page_of(it) for it in PLUGINS} == set((DOCS / "plugins").glob("*.md"))


@of_each_plugin
def test_its_page_has_the_topics_that_it_reads_and_those_that_it_owns(plugin: Plugin) -> None:
    rows = {name: cells[0] for name, cells in table_rows(page_of(plugin)).items()}
    shown = {name: rows[name] for name in names(section(plugin, "Topics"))}
    owned = {topic.name for topic in plugin.topics}
    assert set(shown) == owned | set(plugin.consumes)
    assert {name for name, what in shown.items() if "reads" in what} == set(plugin.consumes)


@of_each_plugin
def test_its_page_has_its_tables(plugin: Plugin) -> None:
    kept = section(plugin, "What it keeps")
    sql = plugin.read_model.tables() if plugin.read_model else ()
    known = {table.name for table in plugin.tables} | {table.name for table in sql}
    assert {name for name in known if f"`{name}`" not in kept} == set()
    cells = " ".join(re.findall(r"^\| ((?:table|SQL) [^|]*)\|", kept, re.MULTILINE))
    assert set(re.findall(r"`([^`]+)`", cells)) == known


@of_each_plugin
def test_its_page_has_the_keys_of_its_configuration(plugin: Plugin) -> None:
    part = plugin.configuration
    assert names(section(plugin, "Configuration")) == set(keys_of(part.model) if part else ())


@of_each_plugin
def test_its_page_has_its_settings(plugin: Plugin) -> None:
    shown = set(re.findall(r"`(POSSTREAM_\w+)`", section(plugin, "Configuration")))
    own = set(plugin.settings.readers) if plugin.settings else set()
    prefixes = {name for name in shown if name.endswith("_")}
    covered = {name for name in own if any(name.startswith(prefix) for prefix in prefixes)}
    assert shown - prefixes == own - covered


@of_each_plugin
def test_its_page_has_its_pages_of_the_console(plugin: Plugin) -> None:
    assert plugin.pages is not None
    part = plugin.pages()
    shown = section(plugin, "Console")
    rows = {name: cells[0] for name, cells in table_rows(page_of(plugin)).items()}
    entries = {it.path: it.role.name.lower() for it in part.navigation}
    assert names(shown) == set(entries)
    assert {path: role for path, role in entries.items() if not rows[path].startswith(role)} == {}


@of_each_plugin
def test_its_page_has_its_commands(plugin: Plugin) -> None:
    shown = section(plugin, "Commands")
    commands = [command.name for command in plugin.commands()] if plugin.commands else []
    text = shown.replace("`posstream ", "`")
    assert [it for it in commands if f"`{it}`" not in text] == []
    assert bool(shown) == bool(commands)


@of_each_plugin
def test_its_page_has_its_fields_of_graphql(plugin: Plugin) -> None:
    assert plugin.graphql is not None
    part = plugin.graphql()
    shown = set(re.findall(r"`(\w+)`", section(plugin, "GraphQL")))
    fields = {name for it in (*part.queries, *part.subscriptions) for name in it._meta.fields}
    fields |= set(part.mutations)
    assert {name for name in map(camel, fields) if name not in shown} == set()


def camel(name: str) -> str:
    """`start_basket` as the schema has it."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


@of_each_plugin
def test_its_page_has_its_metrics(plugin: Plugin) -> None:
    exported = set(declared())
    own = {f"posstream_{metric.name}" for metric in plugin.metrics}
    expected = {name for name in exported if name.removesuffix("_total") in own}
    assert set(re.findall(r"`(posstream_\w+)`", section(plugin, "Metrics"))) == expected
