"""Migrates the SQL tables: the platform's, then those of each plugin.

Alembic runs the migrations; it is imported only if some are missing. The platform and each plugin
have a chain of migrations with a version table of its own. A plugin that is taken away leaves its
tables and its version behind, and blocks nobody's upgrade. A plugin's migration that drops or
alters a table of another owner is rolled back.
"""

import functools
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, column, inspect, select, table, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from posstream.domain.errors import DatabaseAway, DatabaseUnusable
from posstream.forgetting.forgotten import ForgottenSubjects
from posstream.plugin import Plugin
from posstream.plugins.found import PLATFORM as PLATFORM_OWNER
from posstream.plugins.found import refuse_double
from posstream.read_model.refusals import reason_without_rows
from posstream.read_model.revisions import Revisions, read_revisions
from posstream.read_model.schema import METADATA

if TYPE_CHECKING:
    from alembic.config import Config

log = logging.getLogger(__name__)

#: The Alembic environment of every chain.
_ENVIRONMENT: Final = "posstream:read_model/migrations"
_PLATFORM_VERSIONS: Final = "posstream:read_model/migrations/versions"
_VERSION_TABLE: Final = "posstream_version"
#: PostgreSQL's advisory locks are numbers; this one is ours ("posstrea" in ASCII).
_LOCK: Final = int.from_bytes(b"posstrea")
#: By the name of the dialect: table and a line for each column, index, constraint and trigger.
_CATALOGUES: Final = {
    "sqlite": text("SELECT tbl_name, coalesce(sql, name) FROM sqlite_master"),
    "postgresql": text("""
        WITH tables AS (
            SELECT oid, relname FROM pg_class
            WHERE relkind IN ('r', 'p') AND relnamespace = CAST(current_schema() AS regnamespace)
        )
        SELECT relname, concat_ws(' ', tables.oid, attname, format_type(atttypid, atttypmod),
            attnotnull, pg_get_expr(adbin, adrelid))
        FROM tables JOIN pg_attribute ON attrelid = tables.oid AND attnum > 0 AND NOT attisdropped
        LEFT JOIN pg_attrdef ON adrelid = tables.oid AND adnum = attnum
        UNION ALL SELECT relname, pg_get_indexdef(indexrelid)
        FROM tables JOIN pg_index ON indrelid = tables.oid
        UNION ALL SELECT relname, concat_ws(' ', conname, pg_get_constraintdef(pg_constraint.oid))
        FROM tables JOIN pg_constraint ON conrelid = tables.oid
        UNION ALL SELECT relname, pg_get_triggerdef(pg_trigger.oid)
        FROM tables JOIN pg_trigger ON tgrelid = tables.oid AND NOT tgisinternal
    """),
}


@dataclass(frozen=True, slots=True)
class Chain:
    """The migrations of the platform or of one plugin."""

    migrations: str
    version_table: str
    former_version_table: str | None = None

    def revision(self, connection: Connection) -> str | None:
        """The revision of the database; None if the database has none yet.

        Raises:
            DatabaseUnusable: if a newer posstream has migrated it.
        """
        found = _revision(connection, self.version_table)
        if found is None and self.former_version_table is not None:
            found = _revision(connection, self.former_version_table)
        if found is not None and found not in _revisions(self.migrations).known:
            raise DatabaseUnusable(f"a newer posstream has migrated it, to {found}")
        return found

    @property
    def head(self) -> str | None:
        """The newest revision."""
        return _revisions(self.migrations).head

    def is_behind(self, connection: Connection) -> bool:
        """Whether some migrations have not been run; raises as `revision` does."""
        return self.revision(connection) != self.head

    def upgrade(self, connection: Connection, revision: str) -> None:
        """Run the missing migrations, in the transaction of the connection."""
        current = self.revision(connection)
        own = _revision(connection, self.version_table)
        if own == self.head:
            return
        from alembic import command

        config = _config(self.migrations)
        config.attributes["connection"] = connection
        config.attributes["version_table"] = self.version_table
        if current is not None and own is None:
            command.stamp(config, current)
            # The former table stays, with a revision that an older posstream does not know: such a
            # worker refuses the database in a sentence instead of failing at its tables.
            former = table(str(self.former_version_table), column("version_num"))
            connection.execute(update(former).values(version_num=self.head))
        command.upgrade(config, revision)


@functools.cache  # Alembic would import every migration anew
def _revisions(migrations: str) -> Revisions:
    stated = read_revisions(migrations)
    if stated is not None:
        return stated
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(_config(migrations))
    known = frozenset(script.revision for script in scripts.walk_revisions())
    return Revisions(known, scripts.get_current_head())


def _config(migrations: str) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", _ENVIRONMENT)
    config.set_main_option("version_locations", migrations)
    config.set_main_option("path_separator", "newline")
    return config


PLATFORM: Final = Chain(_PLATFORM_VERSIONS, _VERSION_TABLE)


def chains(plugins: Sequence[Plugin]) -> Mapping[str, Chain]:
    """The chain of each plugin that has one, by the plugin's name."""
    return {
        it.name: Chain(
            it.read_model.migrations,
            f"{_VERSION_TABLE}_{it.name}",
            it.read_model.former_version_table,
        )
        for it in plugins
        if it.read_model is not None
    }


async def upgrade(
    engine: AsyncEngine, plugins: Sequence[Plugin], revision: str = "head", *, keep: bool = True
) -> Mapping[str, str]:
    """Run the missing migrations: each chain in a transaction, all of its steps or none.

    Safe for workers that start together: the first one migrates, the others wait and find
    nothing to do. Alembic keeps its context per process, so upgrade one database at a time
    in one process.

    Args:
        engine: from `engine.create_engine`.
        plugins: whose tables are wanted.
        revision: how far the plugins' chains go.
        keep: False rolls every chain back again, as a rehearsal.

    Returns:
        for each plugin whose migration failed, why; the other plugins are up to date.

    Raises:
        DatabaseAway: if the database does not answer, or cannot be used for now.
        sqlalchemy.exc.DBAPIError: from the database, in the platform's migrations.
        DatabaseUnusable: for a database that a newer posstream has migrated.
        StartRefused: if two plugins claim one table; both are named.
    """
    await _run(engine, PLATFORM, "head", keep=keep)
    owners = _owners(plugins)
    failures = {}
    found = chains(plugins)
    for plugin in plugins:
        if plugin.name not in found:
            continue
        try:
            await _run(
                engine, found[plugin.name], revision, keep=keep, plugin=plugin, owners=owners
            )
        except (DatabaseAway, DatabaseUnusable):
            raise
        except (Exception, SystemExit) as why:  # noqa: BLE001 - a migration may raise anything
            failures[plugin.name] = f"its migration failed: {reason_without_rows(why)}"
            log.error("plugin %s: %s", plugin.name, failures[plugin.name])  # noqa: TRY400 - rows
    return failures


async def unmigrated(engine: AsyncEngine, plugins: Sequence[Plugin]) -> Collection[str]:
    """The names of the plugins whose migrations have not all been run."""
    async with engine.connect() as connection:
        return [
            name
            for name, chain in chains(plugins).items()
            if await connection.run_sync(chain.is_behind)
        ]


async def _run(  # noqa: PLR0913 - one caller gives all of them
    engine: AsyncEngine,
    chain: Chain,
    revision: str,
    *,
    keep: bool,
    plugin: Plugin | None = None,
    owners: Mapping[str, str] | None = None,
) -> None:
    # On SQLite the transaction itself is the lock: it begins with BEGIN IMMEDIATE.
    async with engine.connect() as connection, connection.begin() as transaction:
        if connection.dialect.name == "postgresql":
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        current = await connection.run_sync(chain.revision)
        if plugin is None or current == chain.head:
            await connection.run_sync(chain.upgrade, revision)
        else:
            forgotten = ForgottenSubjects(engine)
            await forgotten.lock(connection, to_forget=True)
            before = await connection.run_sync(_shapes)
            await connection.run_sync(chain.upgrade, revision)
            after = await connection.run_sync(_shapes)
            for name, shape in before.items():
                # No table is the plugin's own before its first migration.
                owner = (owners or {}).get(name, plugin.name if current else "another owner")
                if owner != plugin.name and shape != after.get(name):
                    raise ValueError(f"it drops or alters the table {name}, which {owner} owns")
            # A rehearsal has no table of marks left: the platform's own was rolled back before.
            if keep and plugin.read_model is not None and plugin.read_model.erase is not None:
                await forgotten.erase_again(connection, plugin.read_model.erase)
        if not keep:
            await transaction.rollback()


def _owners(plugins: Sequence[Plugin]) -> Mapping[str, str]:
    """The owner of each SQL table that is known.

    Raises:
        StartRefused: if two plugins claim one table; both are named.
    """
    claims = [(PLATFORM_OWNER, _VERSION_TABLE), *((PLATFORM_OWNER, it) for it in METADATA.tables)]
    claims += [(name, chain.version_table) for name, chain in chains(plugins).items()]
    for plugin in plugins:
        if plugin.read_model is not None:
            try:
                claims += [(plugin.name, it.name) for it in plugin.read_model.tables()]
            except Exception:
                log.exception("plugin %s cannot tell its SQL tables", plugin.name)
    refuse_double((owner, "SQL table", name) for owner, name in claims)
    return {name: owner for owner, name in claims}


def _shapes(connection: Connection) -> Mapping[str, Sequence[str]]:
    """What the database's catalogue says of each table: its name -> sorted lines."""
    lines: dict[str, list[str]] = {}
    for name, line in connection.execute(_CATALOGUES[connection.dialect.name]):
        lines.setdefault(name, []).append(line)
    return {name: sorted(its) for name, its in lines.items()}


def _revision(connection: Connection, version_table: str) -> str | None:
    """The revision in a version table; None if the table is not there, or empty."""
    if not inspect(connection).has_table(version_table):
        return None
    versions = table(version_table, column("version_num"))
    revision: str | None = connection.scalar(select(versions.c.version_num))
    return revision
