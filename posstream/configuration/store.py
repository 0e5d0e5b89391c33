"""The versions of a plugin's configuration in SQL: who, when, old and new."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import RowMapping, delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from posstream.configuration.version import UNEDITED, ConfigurationChange, ConfigurationVersion
from posstream.read_model.engine import insert_into, read_only
from posstream.read_model.schema import PLUGIN_CONFIGURATIONS

_COLUMNS: Final = PLUGIN_CONFIGURATIONS.c
_CONTENT: Final = ("enabled", "config", "description", "updated_at", "updated_by")


class SqlConfigurationStore:
    """The versions of one plugin; every method may raise the database's errors.

    Args:
        engine: from `engine.create_engine`, migrated.
        plugin: the plugin's name.
    """

    def __init__(self, engine: AsyncEngine, plugin: str) -> None:
        self._engine = engine
        self._plugin = plugin
        new = insert_into(engine, PLUGIN_CONFIGURATIONS)
        self._upsert = new.on_conflict_do_update(
            index_elements=["plugin", "version"],
            set_={name: new.excluded[name] for name in _CONTENT},
        )

    async def latest(self) -> ConfigurationVersion:
        """The newest version; `UNEDITED` if there is none."""
        changes = await self.history(1)
        return changes[0].version if changes else UNEDITED

    async def find(self, version: int) -> ConfigurationVersion | None:
        """One version; None if there is none."""
        asked = self._rows().where(_COLUMNS.version == version)
        async with read_only(self._engine).connect() as connection:
            row = (await connection.execute(asked)).mappings().one_or_none()
        return None if row is None else _change(row).version

    async def history(self, limit: int) -> Sequence[ConfigurationChange]:
        """The newest versions, newest first."""
        asked = self._rows().order_by(_COLUMNS.version.desc()).limit(limit)
        async with read_only(self._engine).connect() as connection:
            return [_change(row) for row in (await connection.execute(asked)).mappings()]

    async def add(self, change: ConfigurationChange) -> bool:
        """Keep a new version; False if its number is taken."""
        try:
            async with self._engine.begin() as connection:
                await connection.execute(PLUGIN_CONFIGURATIONS.insert(), self._row(change))
        except IntegrityError:
            return False
        return True

    async def mirror(self, change: ConfigurationChange) -> None:
        """Keep a version as the topic has it, even if its number is taken."""
        async with self._engine.begin() as connection:
            await connection.execute(self._upsert, self._row(change))

    async def remove(self, version: int) -> None:
        """Delete a version that was never published."""
        gone = delete(PLUGIN_CONFIGURATIONS).where(
            _COLUMNS.plugin == self._plugin, _COLUMNS.version == version
        )
        async with self._engine.begin() as connection:
            await connection.execute(gone)

    def _rows(self) -> Any:
        return select(PLUGIN_CONFIGURATIONS).where(_COLUMNS.plugin == self._plugin)

    def _row(self, change: ConfigurationChange) -> dict[str, Any]:
        return {
            "plugin": self._plugin,
            **asdict(change.version),
            "old_enabled": change.old_enabled,
            "old_config": change.old_config,
        }


def _change(row: RowMapping) -> ConfigurationChange:
    return ConfigurationChange(
        ConfigurationVersion(row["version"], **{name: row[name] for name in _CONTENT}),
        old_enabled=row["old_enabled"],
        old_config=row["old_config"],
    )
