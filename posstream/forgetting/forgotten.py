"""Marks of forgotten subjects in SQL, and the names in a plugin's tables that the marks cover.

A row is kept or deleted by the time of its event, so it does not matter whether the event or the
mark came first. Each plugin deletes its own rows: this module knows only the table of marks.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, and_, exists, func, literal, or_, select, text, union
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from posstream.domain.times import to_ms
from posstream.forgetting.marks import Forgotten, Marks, Trace, subject_of, subjects_of
from posstream.read_model.engine import insert_into, read_only
from posstream.read_model.named_rows import SLICE, Row, rows_named
from posstream.read_model.schema import FORGOTTEN_SUBJECTS

#: Deletes the rows of one plugin that are from before some marks, in the transaction that writes
#: the marks.
Erase = Callable[[AsyncConnection, Marks], Awaitable[None]]

#: PostgreSQL's advisory locks are numbers; this one is ours ("forgette" in ASCII).
_LOCK: Final = int.from_bytes(b"forgette")


class ForgottenSubjects:
    """Reads and writes the table of marks, within the transactions of projections and migrations.

    Args:
        engine: from `engine.create_engine`, migrated.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        insert = insert_into(engine, FORGOTTEN_SUBJECTS)
        new, old = insert.excluded, FORGOTTEN_SUBJECTS.c
        self._upsert = insert.on_conflict_do_update(
            index_elements=["subject"],
            set_={name: new[name] for name in ("forgotten_at", "cache_entries")},
            where=or_(
                new.forgotten_at > old.forgotten_at,
                and_(new.forgotten_at == old.forgotten_at, new.cache_entries > old.cache_entries),
            ),
        )

    async def lock(self, connection: AsyncConnection, *, to_forget: bool) -> None:
        """Lock marks against rows until the transaction ends.

        Without the lock one transaction could write a row without seeing the mark, and another one
        the mark without seeing the row. On SQLite there is one writer at a time anyway.
        """
        if connection.dialect.name == "postgresql":
            function = "pg_advisory_xact_lock" if to_forget else "pg_advisory_xact_lock_shared"
            await connection.execute(text(f"SELECT {function}(:lock)"), {"lock": _LOCK})

    async def any_since(self, connection: AsyncConnection, earliest: datetime) -> bool:
        """Whether a mark is as young as `earliest`: mostly none is, and nothing need be hashed."""
        found = select(exists().where(FORGOTTEN_SUBJECTS.c.forgotten_at >= earliest))
        return bool(await connection.scalar(found))

    async def marks(self, connection: AsyncConnection, traces: Iterable[Trace]) -> Marks:
        """The marks that may cover some of these traces; mostly none."""
        return await _known(connection, {s for trace in traces for s in subjects_of(trace)})

    async def forget(
        self, connection: AsyncConnection, marks: Iterable[Row], erasures: Iterable[Erase]
    ) -> None:
        """Write marks, and delete the rows from before them. Known marks change nothing."""
        rows = sorted(marks, key=lambda row: str(row["subject"]))
        known = await _known(connection, {row["subject"] for row in rows})
        await connection.execute(self._upsert, rows)
        news = Marks(
            {
                row["subject"]: row["forgotten_at"]
                for row in rows
                if row["subject"] not in known.forgotten_at
                or row["forgotten_at"] > known.forgotten_at[row["subject"]]
            }
        )
        if news:
            for erase in erasures:
                await erase(connection, news)

    async def erase_again(self, connection: AsyncConnection, erase: Erase) -> None:
        """Delete the rows of one plugin that are from before any known mark.

        Marks are also written while the plugin's migrations fail.
        """
        columns = FORGOTTEN_SUBJECTS.c
        rows = await connection.execute(select(columns.subject, columns.forgotten_at))
        if marks := Marks(dict(map(tuple, rows))):
            await erase(connection, marks)


async def known_marks(engine: AsyncEngine, subjects: Collection[str]) -> Mapping[str, Forgotten]:
    """The known marks of some subjects, by subject; may raise the database's errors.

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


async def meant_names(
    connection: AsyncConnection, prefix: str, columns: Sequence[Column[Any]], marks: Marks
) -> tuple[str, ...]:
    """The names in these columns that have a mark on their hash."""
    subjects = marks.forgotten_at
    if connection.dialect.name == "postgresql":  # hashes by itself, in a fraction of the time
        chosen = [
            select(column).where(
                func.encode(
                    func.sha256(func.convert_to(literal(prefix).concat(column), "UTF8")), "hex"
                ).in_(subjects)
            )
            for column in columns
        ]
        return tuple(await connection.scalars(union(*chosen)))
    names = union(*(select(column).where(column.is_not(None)) for column in columns))
    found = await connection.stream_scalars(names)
    return tuple(
        [
            name
            async for slice_ in found.partitions(SLICE)
            for name in slice_
            if subject_of(prefix, name) in subjects
        ]
    )


async def _known(connection: AsyncConnection, subjects: Collection[str]) -> Marks:
    columns = FORGOTTEN_SUBJECTS.c
    rows = await rows_named(
        connection, (columns.subject, columns.forgotten_at), (columns.subject, subjects)
    )
    return Marks({row["subject"]: row["forgotten_at"] for row in rows})
