"""Reads the marks of forgotten subjects from SQL."""

from collections.abc import Collection, Mapping

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from posstream.domain.times import to_ms
from posstream.forgetting.marks import Forgotten
from posstream.read_model.engine import read_only
from posstream.read_model.schema import FORGOTTEN_SUBJECTS


async def known_marks(engine: AsyncEngine, subjects: Collection[str]) -> Mapping[str, Forgotten]:
    """The marks that there are, by their subject; the database's errors pass.

    Args:
        engine: from `engine.create_engine`, migrated.
        subjects: of `forgetting.marks`.
    """
    columns = FORGOTTEN_SUBJECTS.c
    statement = select(columns.subject, columns.forgotten_at, columns.cache_entries).where(
        columns.subject.in_(sorted(subjects))
    )
    async with read_only(engine).connect() as connection:
        return {
            subject: Forgotten(subject, to_ms(forgotten_at), cache_entries)
            for subject, forgotten_at, cache_entries in await connection.execute(statement)
        }
