"""`posstream config`: show, set, history and rollback of the live configuration.

Works without a worker: on the database and the topic, as a worker's web view does.
"""

import getpass
import json
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from agents.customer_lookup.configuration import KEYS, PLUGIN, TEXTS, PluginConfiguration
from agents.customer_lookup.settings import LookupSettings
from posstream.commands.database import opened
from posstream.commands.terminal import print_table
from posstream.configuration.current import CurrentConfiguration
from posstream.configuration.editing import Changed, LiveConfiguration, Note, Refused
from posstream.configuration.follower import ConfigurationFollower
from posstream.configuration.store import SqlConfigurationStore
from posstream.configuration.topic import ConfigurationReader, KafkaConfigurationTopic
from posstream.configuration.version import ConfigurationChange
from posstream.domain.times import iso_utc
from posstream.kafka.preflight import prepare_topics
from posstream.kafka.topics import PLATFORM_TOPICS, PLUGIN_CONFIGURATION
from posstream.metrics import Metrics
from posstream.resilience.clock import SystemClock
from posstream.settings import Settings

_FETCH_WAIT_MS: Final = 20


async def show(settings: Settings) -> int:
    """Print the newest version, key by key.

    Returns:
        0.
    """
    async with _opened(settings) as live:
        version = await live.latest()
    defaults = live.current.defaults
    print_table(
        ("KEY", "VALUE", "DEFAULT", ""),
        [
            (
                key,
                json.dumps(version.config.get(key, getattr(defaults, key))),
                json.dumps(getattr(defaults, key)),
                "set" if key in version.config else "",
            )
            for key in KEYS
        ],
    )
    print(f"\n{PLUGIN} is {_switch(version.enabled)}; {_signed(version)}")
    return 0


async def change(
    settings: Settings, config: Mapping[str, Any], *, enabled: bool | None, note: Note
) -> int:
    """Change some keys, the switch, or both.

    Returns:
        0, or 1 if it was refused.
    """
    async with _opened(settings, to_write=True) as live:
        return _told(await live.edit(config, enabled=enabled, note=note))


async def rollback(settings: Settings, version: int | None, *, note: Note) -> int:
    """Write a new version with what an old one said.

    Returns:
        0, or 1 if it was refused.
    """
    async with _opened(settings, to_write=True) as live:
        return _told(await live.rollback(version, note=note))


async def history(settings: Settings, limit: int) -> int:
    """Print the newest versions, newest first.

    Returns:
        0.
    """
    async with _opened(settings) as live:
        changes = await live.history(limit)
    if not changes:
        print("never edited: everything is at its default")
        return 0
    print_table(
        ("VERSION", "WHEN", "WHO", "WHAT", "WHY"),
        [
            (
                str(change.version.version),
                iso_utc(change.version.updated_at) or "-",
                change.version.updated_by or "-",
                ", ".join(_changed(change)) or "-",
                change.version.description,
            )
            for change in changes
        ],
    )
    return 0


def parse_values(assignments: Sequence[str]) -> dict[str, Any]:
    """Read `KEY=VALUE` pairs: a value is JSON or else text; a text key takes digits as text.

    Raises:
        ValueError: for what is no such pair, or a key that comes twice.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not key or not equals:
            raise ValueError("must be KEY=VALUE")
        if key in values:
            raise ValueError(f"{key} comes twice")
        try:
            read = json.loads(value)
        except (ValueError, RecursionError):
            read = value
        values[key] = value if key in TEXTS and isinstance(read, int) else read
    return values


def editor() -> str:
    """The user of this machine who runs the command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        return "unknown"


@asynccontextmanager
async def _opened(
    settings: Settings, *, to_write: bool = False
) -> AsyncIterator[LiveConfiguration]:
    """The database, migrated; to write, also the topic, reconciled with it.

    Raises:
        DatabaseUnusable: with a sentence that names no address.
        StartRefused: if no broker answers.
    """
    servers = settings.bootstrap_servers
    async with opened(settings) as engine:
        store = SqlConfigurationStore(engine, PLUGIN)
        topic = KafkaConfigurationTopic(servers)
        live = LiveConfiguration(
            current=CurrentConfiguration(
                PluginConfiguration(api_endpoint=LookupSettings.of(settings).api_endpoint)
            ),
            store=store,
            topic=topic,
            clock=SystemClock(),
        )
        if to_write:
            await prepare_topics(
                servers,
                [spec for spec in PLATFORM_TOPICS if spec.name == PLUGIN_CONFIGURATION],
                partitions=settings.topic_partitions,
                replication=settings.topic_replication,
                patience_seconds=0,
            )
            follower = ConfigurationFollower(live=live, store=store, topic=topic, metrics=Metrics())
            reader = ConfigurationReader(servers, follower)
            await reader.catch_up(fetch_wait_ms=_FETCH_WAIT_MS)
            await reader.close()
        yield live


def _told(outcome: Changed | Refused) -> int:
    if isinstance(outcome, Changed):
        version = outcome.version.version
        told = "is on its way to every worker" if outcome.is_new else "has these values already"
        print(f"version {version} {told}")
        return 0
    print(f"error: {outcome.message}", file=sys.stderr)
    return 1


def _signed(version: Any) -> str:
    if version.version == 0:
        return "version 0, never edited"
    why = f" ({version.description})" if version.description else ""
    when = iso_utc(version.updated_at) or "at an unknown time"
    return f"version {version.version}, {when}, by {version.updated_by or 'unknown'}{why}"


def _changed(change: ConfigurationChange) -> Iterable[str]:
    old, new = change.old_config, change.version.config
    if change.old_enabled != change.version.enabled:
        yield f"{_switch(change.old_enabled)} -> {_switch(change.version.enabled)}"
    for key in KEYS:
        if old.get(key) != new.get(key):
            yield f"{key}: {_value(old, key)} -> {_value(new, key)}"


def _value(config: Mapping[str, Any], key: str) -> str:
    return json.dumps(config[key]) if key in config else "default"


def _switch(enabled: bool) -> str:  # noqa: FBT001 - it is what is named
    return "enabled" if enabled else "disabled"
