"""Counts spans of time to which no rows are written any more, so that figures need not read rows.

Runs in the process of the projections. A span of ten seconds is counted from its rows, a longer one
from the shorter ones. A projection that writes a row of a span gives the span a new `mark` in the
same transaction, and a count is stored only if the mark is still the one that was read before.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    String,
    and_,
    bindparam,
    delete,
    func,
    or_,
    select,
    text,
    type_coerce,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from agents.customer_lookup.read_model.counted_rows import NEVER, add_rows
from agents.customer_lookup.read_model.schema import (
    CUSTOMER_LOOKUP_LOGS,
    LOOKUP_ANSWERS,
    LOOKUP_COUNTS,
)
from agents.customer_lookup.read_model.spans import (
    HOURS,
    KEPT_FOR,
    LENGTHS,
    MINUTES,
    TENS,
    spans_of,
)
from agents.customer_lookup.read_model.tally import Tally
from agents.customer_lookup.read_model.uncounted import Uncounted
from posstream.read_model.engine import snapshots
from posstream.read_model.prepared import Prepared
from posstream.read_model.refusals import kind
from posstream.read_model.stored_time import stored

log = logging.getLogger(__name__)

#: Seconds between two rounds. A span is at rest if nothing was written to it since the last round.
_PAUSE_SECONDS: Final = 2.0
#: The most spans that one round counts.
_MOST: Final = 500
#: The number of our advisory lock on PostgreSQL: "counting" in ASCII.
_LOCK: Final = text("SELECT pg_try_advisory_xact_lock(:lock)").bindparams(
    lock=int.from_bytes(b"counting")
)
#: How far back counts are compared with rows, and how often: at the start, and each hour.
_COMPARED: Final = timedelta(days=1)
_BETWEEN_COMPARISONS: Final = timedelta(hours=1)
_COLUMNS: Final = LOOKUP_COUNTS.c
#: Short spans first, the newest of them first.
_UNCOUNTED: Final = (
    select(_COLUMNS.span, _COLUMNS.mark)
    .where(_COLUMNS.counts.is_(None))
    .order_by(_COLUMNS.span.desc())
)
_KEEP: Final = (
    update(LOOKUP_COUNTS)
    .where(_COLUMNS.span == bindparam("of"), _COLUMNS.mark == bindparam("seen"))
    .values(counts=bindparam("found"))
)
_SHORTER: Final = {HOURS.letter: MINUTES, MINUTES.letter: TENS}


class Counting:
    """Counts the spans that are at rest, again and again.

    Args:
        engine: from `engine.create_engine`, migrated.
        now: the time, in UTC.
    """

    def __init__(
        self, engine: AsyncEngine, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._engine = engine
        self._now = now
        #: The marks of the spans that were not counted at the last round.
        self._seen: Mapping[str, int] = {}

    async def run(self) -> None:
        """Count every two seconds, until cancelled; a failed round is tried again after as long."""
        compared_at: datetime | None = None
        while True:
            try:
                now = self._now()
                if compared_at is None or now - compared_at >= _BETWEEN_COMPARISONS:
                    await self.compare()
                    compared_at = now
                await self.round()
            except Exception as why:  # noqa: BLE001 - meanwhile figures are read from rows
                log.debug("lookups could not be counted (%s)", kind(why))
            await asyncio.sleep(_PAUSE_SECONDS)

    async def round(self) -> int:
        """Count the spans to which nothing was written since the last round; returns how many.

        Raises:
            Exception: from the database; what was counted until then is kept.
        """
        await self._forget_old()
        async with snapshots(self._engine).connect() as connection:
            if connection.dialect.name == "postgresql" and not await connection.scalar(_LOCK):
                return 0  # another worker counts
            uncounted = dict(map(tuple, await connection.execute(_UNCOUNTED)))
            at_rest = [it for it, mark in uncounted.items() if self._seen.get(it) == mark]
            found = []
            for span in at_rest[:_MOST]:
                tally = await _tally(connection, span)
                if tally is not None:
                    found.append({"of": span, "seen": uncounted[span], "found": tally.to_json()})
        self._seen = uncounted
        return await self._keep(found)

    async def _keep(self, found: Sequence[Mapping[str, Any]]) -> int:
        if not found:
            return 0
        in_order = sorted(found, key=itemgetter("of"))  # the order in which projections write them
        async with self._engine.begin() as connection:
            await connection.execute(_KEEP, in_order)
        return len(found)

    async def compare(self) -> Collection[str]:
        """Find the spans of the last day that do not have the count of their rows.

        A worker of an older version, as during an upgrade, writes rows and marks no spans. It may
        go on after the last new one has started, so that one comparison is not enough.

        Returns:
            the spans that are to be counted again.

        Raises:
            Exception: from the database.
        """
        since = HOURS.up(self._now() - _COMPARED)
        async with snapshots(self._engine).connect() as connection:
            rows: Counter[str] = Counter()
            for time in (LOOKUP_ANSWERS.c.occurred_at, CUSTOMER_LOOKUP_LOGS.c.request_timestamp):
                name = func.substr(_text(connection, time), 1, TENS.characters).label("name")
                counted = select(name, func.count()).where(time >= since, time < NEVER)
                rows.update(dict(map(tuple, await connection.execute(counted.group_by(name)))))
            first, end = TENS.between(since, None)
            stored_since = select(_COLUMNS.span, _COLUMNS.counts).where(
                _COLUMNS.span >= first, _COLUMNS.span < end
            )
            known = dict(map(tuple, await connection.execute(stored_since)))
        spans = spans_of(
            name for name, count in rows.items() if _differs(known, TENS.name(name), count)
        )
        if spans:
            async with self._engine.begin() as connection:
                await Uncounted(self._engine).write(connection, spans)
        return spans

    async def _forget_old(self) -> None:
        limit = HOURS.name(stored(self._now() - KEPT_FOR))[1:]
        old = [
            and_(_COLUMNS.span >= it.letter, _COLUMNS.span < it.letter + limit) for it in LENGTHS
        ]
        async with self._engine.connect() as connection:
            found = await connection.scalar(select(_COLUMNS.span).where(or_(*old)).limit(1))
        if found is not None:
            async with self._engine.begin() as connection:
                await connection.execute(delete(LOOKUP_COUNTS).where(or_(*old)))


async def count(engine: AsyncEngine) -> None:
    """Count until cancelled: the `upkeep` that the plugin declares."""
    await Counting(engine).run()


def _differs(known: Mapping[str, str | None], span: str, count: int) -> bool:
    """Whether a span has another count than its rows, or is not stored at all."""
    if span not in known:
        return True
    tally, text = Tally(), known[span]
    if text is None:
        return False
    tally.add_json(text)
    return tally.rows != count


def _text(connection: AsyncConnection, time: Column[Any]) -> ColumnElement[str]:
    """A time as it is stored on SQLite, to the second at least."""
    if connection.dialect.name == "postgresql":
        return func.to_char(func.timezone("UTC", time), "YYYY-MM-DD HH24:MI:SS")
    return type_coerce(time, String)


async def _tally(connection: AsyncConnection, span: str) -> Tally | None:
    """The tally of a span; None if it contains a shorter span that is not counted."""
    shorter = _SHORTER.get(span[0])
    if shorter is None:

        async def read(query: Prepared, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
            rows: Sequence[Any] = (await connection.execute(query.statement, values)).all()
            return rows

        begin, tally = TENS.begin(span), Tally()
        await add_rows(tally, read, [(begin, begin + TENS.lasts)])
        return tally
    first, end = shorter.inside(span)
    inside = select(_COLUMNS.counts).where(_COLUMNS.span > first, _COLUMNS.span < end)
    parts = (await connection.scalars(inside)).all()
    if None in parts:
        return None
    tally = Tally()
    for part in parts:
        tally.add_json(str(part))
    return tally
