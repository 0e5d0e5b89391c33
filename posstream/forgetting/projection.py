"""Writes marks of forgotten subjects into SQL, and deletes every plugin's rows from before them.

All in one transaction: a mark in SQL says that the rows are gone, except those of a plugin whose
migration failed. They go with the migration that succeeds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from posstream.forgetting.forgotten import Erase, ForgottenSubjects
from posstream.forgetting.record import read_mark
from posstream.read_model.projection import BatchProjection, ProjectedEvent, log_skipped


class MarkProjection(BatchProjection):
    """The projection of the topic of forgotten subjects.

    Args:
        engine: from `engine.create_engine`, migrated.
        erasures: what deletes the rows of each plugin.
    """

    def __init__(self, engine: AsyncEngine, erasures: Sequence[Erase]) -> None:
        super().__init__(engine)
        self._forgotten = ForgottenSubjects(engine)
        self._erasures = erasures

    async def write(self, connection: AsyncConnection, events: Sequence[ProjectedEvent]) -> None:
        """Keep the marks of a batch; if a subject has several, the last one."""
        marks: dict[str, Mapping[str, Any]] = {}
        for event in events:
            mark = read_mark(event.value)
            if mark is None:
                log_skipped(event, "it is no mark of a forgotten subject")
                continue
            known = marks.setdefault(mark["subject"], mark)
            if _rank(mark) > _rank(known):
                marks[mark["subject"]] = mark
        if marks:
            await self._forgotten.lock(connection, to_forget=True)
            await self._forgotten.forget(connection, marks.values(), self._erasures)


def _rank(mark: Mapping[str, Any]) -> tuple[Any, int]:
    return mark["forgotten_at"], mark["cache_entries"]
