"""Migrates the SQL tables: the platform's, then those of each plugin.

The platform and each plugin have a chain of migrations with a version table of its own. A plugin
that is taken away leaves its tables and its version behind, and blocks nobody's upgrade.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, column, table, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from posstream.domain.errors import DatabaseAway, DatabaseUnusable
from posstream.plugin import Plugin
from posstream.read_model.refusals import reason_without_rows

log = logging.getLogger(__name__)

#: The Alembic environment of every chain.
_ENVIRONMENT: Final = "posstream:read_model/migrations"
_PLATFORM_VERSIONS: Final = "posstream:read_model/migrations/versions"
_VERSION_TABLE: Final = "posstream_version"
#: PostgreSQL's advisory locks are numbers; this one is ours ("posstrea" in ASCII).
_LOCK: Final = int.from_bytes(b"posstrea")


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
        known = {script.revision for script in self._scripts().walk_revisions()}
        if found is not None and found not in known:
            raise DatabaseUnusable(f"a newer posstream has migrated it, to {found}")
        return found

    @property
    def head(self) -> str | None:
        """The newest revision."""
        return self._scripts().get_current_head()

    def upgrade(self, connection: Connection, revision: str) -> None:
        """Run the missing migrations, in the transaction of the connection."""
        current = self.revision(connection)
        config = self._config()
        config.attributes["connection"] = connection
        config.attributes["version_table"] = self.version_table
        if current is not None and _revision(connection, self.version_table) is None:
            command.stamp(config, current)
            # The former table stays, with a revision that an older posstream does not know: such a
            # worker refuses the database in a sentence instead of failing at its tables.
            former = table(str(self.former_version_table), column("version_num"))
            connection.execute(update(former).values(version_num=self.head))
        command.upgrade(config, revision)

    def _scripts(self) -> ScriptDirectory:
        return ScriptDirectory.from_config(self._config())

    def _config(self) -> Config:
        config = Config()
        config.set_main_option("script_location", _ENVIRONMENT)
        config.set_main_option("version_locations", self.migrations)
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
    """
    failures = {}
    await _run(engine, PLATFORM, "head", keep=keep)
    for name, chain in chains(plugins).items():
        try:
            await _run(engine, chain, revision, keep=keep)
        except (DatabaseAway, DatabaseUnusable):
            raise
        except (Exception, SystemExit) as why:  # noqa: BLE001 - a migration may raise anything
            failures[name] = f"its migration failed: {reason_without_rows(why)}"
            log.error("plugin %s: %s", name, failures[name])  # noqa: TRY400 - rows
    return failures


async def _run(engine: AsyncEngine, chain: Chain, revision: str, *, keep: bool) -> None:
    # On SQLite the transaction itself is the lock: it begins with BEGIN IMMEDIATE.
    async with engine.connect() as connection, connection.begin() as transaction:
        if connection.dialect.name == "postgresql":
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        await connection.run_sync(chain.upgrade, revision)
        if not keep:
            await transaction.rollback()


def _revision(connection: Connection, version_table: str) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table": version_table})
    return context.get_current_revision()
