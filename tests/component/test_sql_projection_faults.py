"""The projection when the database is down, slow, locked or refuses a row: nothing is lost."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import repeat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from sqlalchemy import event, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup import PLUGIN, topics
from agents.customer_lookup.read_model import fields as sql_module
from agents.customer_lookup.read_model import schema
from agents.customer_lookup.read_model.projection import SqlProjection
from posstream.domain.errors import DatabaseAway
from posstream.kafka.tuning import Tuning
from posstream.read_model import projector as projector_module
from posstream.read_model.engine import create_engine
from posstream.read_model.projection import ProjectedEvent, Projection
from posstream.read_model.projections import projections
from posstream.read_model.projector import GroupSettings, Projector, Standing
from posstream.resilience.tasks import stop_task
from tests.component.sql_databases import (
    DATABASES,
    JOHN,
    database,
    found,
    logged,
    make_tables,
    started,
)

#: For what must happen, and at once.
SOON_SECONDS = 20


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projector_module, "growing_pauses", lambda: repeat(0.0))


class Watched(Projection):
    """A projection, and the errors that it raised."""

    def __init__(self, inner: Projection) -> None:
        self.errors: asyncio.Queue[Exception] = asyncio.Queue()
        self._inner = inner

    async def apply(self, events: Sequence[ProjectedEvent]) -> None:
        try:
            await self._inner.apply(events)
        except Exception as why:
            self.errors.put_nowait(why)
            raise

    async def error(self) -> Exception:
        return await asyncio.wait_for(self.errors.get(), SOON_SECONDS)


class Flaky(Projection):
    """Fails so often, then takes everything."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.taken: list[ProjectedEvent] = []

    async def apply(self, events: Sequence[ProjectedEvent]) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionRefusedError
        self.taken.extend(events)


def record(topic: str, partition: int, offset: int, value: bytes | None) -> Any:
    return SimpleNamespace(topic=topic, partition=partition, offset=offset, value=value, key=b"k")


def fetched(*projected: ProjectedEvent) -> list[Any]:
    return [
        record(it.topic, 0, offset, orjson.dumps(it.value)) for offset, it in enumerate(projected)
    ]


async def write(to: Projector, records: list[Any]) -> None:
    await to.write(records, to.decoded(records))


def projector(projection: Projection, standing: Standing | None = None) -> Projector:
    """One that is not connected to any broker."""
    settings = GroupSettings(
        servers=[],
        member=None,
        tuning=Tuning(fetch_wait_ms=1, session_timeout_seconds=6),
    )
    (_, grouped) = projections([PLUGIN])
    return Projector(grouped, projection, settings, standing or Standing())


async def ids(engine: AsyncEngine) -> list[str]:
    """The answers that the read model has."""
    async with engine.connect() as connection:
        answers = await connection.scalars(select(schema.LOOKUP_ANSWERS.c.event_id))
        return sorted(answers)


@asynccontextmanager
async def locked(engine: AsyncEngine) -> AsyncIterator[None]:
    """A foreign transaction has the customers to itself."""
    async with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            await connection.execute(text("LOCK TABLE customers"))
        yield


# -- a batch


async def test_a_list_is_tried_until_it_is_written_and_is_done_only_then() -> None:
    done_before: list[bool] = []

    class Down(Flaky):
        async def apply(self, events: Sequence[ProjectedEvent]) -> None:
            await asyncio.sleep(0)
            done_before.append(projecting.done())
            await super().apply(events)

    projection = Down(failures=30)
    writing = projector(projection)
    projecting = asyncio.ensure_future(write(writing, fetched(found("e1"), found("e2"))))
    await asyncio.wait_for(projecting, SOON_SECONDS)
    assert [it.value["event_id"] for it in projection.taken] == ["e1", "e2"]
    assert done_before == [False] * 31


async def test_what_is_no_object_is_left_out_and_holds_up_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    projection = Flaky(failures=0)
    bad = [record("t", 3, 7, value) for value in (None, b"", b"[]", b"\xff")]
    writing = projector(projection)
    await write(writing, [*bad, *fetched(found("e1"))])
    assert [it.value["event_id"] for it in projection.taken] == ["e1"]
    assert caplog.text.count("not projected: t/3/7 is no JSON object") == len(bad)


async def test_what_is_too_long_is_not_even_read(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compressed it was a thousandth; read, it may be gigabytes."""
    monkeypatch.setattr("posstream.read_model.projector._MOST_BYTES", 1000)
    projection = Flaky(failures=0)
    writing = projector(projection)
    await write(writing, [record("t", 3, 7, b'"' + b" " * 999 + b'"')])
    assert not any(projection.taken)
    assert "not projected: t/3/7 is longer than 1000 bytes" in caplog.text


async def test_an_event_says_where_it_lies() -> None:
    projection = Flaky(failures=0)
    writing = projector(projection)
    value = orjson.dumps(found("e1").value)
    await write(writing, [record(topics.CUSTOMER_DATA_FETCHED, 5, 42, value)])
    (event,) = projection.taken
    assert (event.topic, event.place) == (
        topics.CUSTOMER_DATA_FETCHED,
        "customer-data-fetched/5/42",
    )


async def test_what_is_wrong_is_told_until_the_rows_are_written() -> None:
    standing = Standing()
    told = []

    class Down(Flaky):
        async def apply(self, events: Sequence[ProjectedEvent]) -> None:
            told.append(standing.trouble)
            await super().apply(events)

    await write(projector(Down(failures=2), standing), fetched(found("e1")))
    assert [told[0], standing.trouble] == [None, None]
    assert told[1:] == ["ConnectionRefusedError", "ConnectionRefusedError"]


async def test_a_stop_rolls_the_transaction_back() -> None:
    """The database is closed next."""

    class Slow(Projection):
        def __init__(self) -> None:
            self.begun = asyncio.Event()
            self.rolled_back = False

        async def apply(self, _events: Sequence[ProjectedEvent]) -> None:
            try:
                self.begun.set()
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                self.rolled_back = True

    projection = Slow()
    writing = asyncio.create_task(write(projector(projection), fetched(found("e1"))))
    await projection.begun.wait()
    await stop_task(writing)
    assert projection.rolled_back


# -- locks and dead connections


async def test_a_lock_timeout_is_waited_out(url: str, engine: AsyncEngine) -> None:
    impatient = create_engine(url)
    statement = "SET lock_timeout = '20ms'"
    if engine.dialect.name == "sqlite":
        statement = "PRAGMA busy_timeout = 20"

    @event.listens_for(impatient.sync_engine, "connect")
    def connect(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        cursor.execute(statement)
        cursor.close()
        connection.commit()

    projection = Watched(SqlProjection(impatient))
    batch = fetched(found("e1"), found("e2"))
    async with locked(engine):
        projecting = asyncio.create_task(write(projector(projection), batch))
        for _ in range(3):
            assert isinstance(await projection.error(), DBAPIError | DatabaseAway)
    await asyncio.wait_for(projecting, SOON_SECONDS)
    await impatient.dispose()
    assert await ids(engine) == ["e1", "e2"]


@pytest.mark.skipif("postgresql" not in DATABASES, reason="SQLite waits 5 s and no longer")
async def test_a_transaction_that_waits_too_long_is_given_up_and_tried_again(
    tmp_path: Path,
) -> None:
    async with database("postgresql", tmp_path) as url:
        engine = create_engine(url)
        await make_tables(engine)
        projection = Watched(SqlProjection(engine, patience_seconds=0.2))
        async with locked(engine):
            projecting = asyncio.create_task(write(projector(projection), fetched(found("e1"))))
            assert isinstance(await projection.error(), TimeoutError)
        await asyncio.wait_for(projecting, SOON_SECONDS)
        assert await ids(engine) == ["e1"]
        await engine.dispose()


@pytest.mark.skipif("postgresql" not in DATABASES, reason="SQLite has one writer: no deadlock")
async def test_the_victim_of_a_deadlock_is_tried_again(tmp_path: Path) -> None:
    async with database("postgresql", tmp_path) as url:
        engine = create_engine(url)
        await make_tables(engine)
        await SqlProjection(engine).apply([found("e0", basket="b0")])
        projection = Watched(SqlProjection(engine))
        async with engine.connect() as foreign:
            await foreign.execute(text("UPDATE baskets SET terminal_id = 'x'"))
            newer = fetched(found("e1", basket="b0", fetched=20))
            projecting = asyncio.create_task(write(projector(projection), newer))
            await until_somebody_waits_for_a_lock(engine)
            # It has the customer and waits for our basket; we have the basket and want the
            # customer. It waited first, so it looks for a deadlock first.
            wanting = asyncio.create_task(
                foreign.execute(text("UPDATE customers SET last_name = 'Y'"))
            )
            victim = await projection.error()
            assert "deadlock detected" in str(victim)
            await wanting
            await foreign.rollback()
        await asyncio.wait_for(projecting, SOON_SECONDS)
        assert await ids(engine) == ["e0", "e1"]
        await engine.dispose()


async def until_somebody_waits_for_a_lock(engine: AsyncEngine) -> None:
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    async with asyncio.timeout(SOON_SECONDS), engine.connect() as connection:
        while not await connection.scalar(waiting):  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)


class Way:
    """The way to a server, which can be cut without a word to either end."""

    def __init__(self, host: str, port: int) -> None:
        self._there = (host, port)
        self.passable = asyncio.Event()
        self.passable.set()
        self._passing: set[asyncio.Task[None]] = set()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_server = await asyncio.open_connection(*self._there)
        for source, sink in ((reader, to_server[1]), (to_server[0], writer)):
            self._passing.add(asyncio.create_task(self._carry(source, sink)))

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while piece := await source.read(65_536):
                await self.passable.wait()
                sink.write(piece)
        finally:
            sink.close()
            await sink.wait_closed()

    async def close(self) -> None:
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)


@pytest.mark.skipif("postgresql" not in DATABASES, reason="SQLite is a file")
async def test_a_connection_that_died_without_a_word_is_given_up(tmp_path: Path) -> None:
    async with database("postgresql", tmp_path) as url:
        address = make_url(url)
        way = Way(address.host or "", address.port or 0)
        server = await asyncio.start_server(way.take, "127.0.0.1", 0)
        by_way = address.set(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
        engine = create_engine(by_way.render_as_string(hide_password=False))
        await make_tables(engine)
        projection = Watched(SqlProjection(engine, patience_seconds=0.5))
        await projection.apply([found("e1")])

        way.passable.clear()
        projecting = asyncio.create_task(write(projector(projection), fetched(found("e2"))))
        assert isinstance(await projection.error(), TimeoutError)
        assert not projecting.done()

        way.passable.set()
        await asyncio.wait_for(projecting, SOON_SECONDS)
        assert await ids(engine) == ["e1", "e2"]
        await engine.dispose()
        server.close()
        await way.close()


# -- rows that no database will ever take


def whole_numbers_of_any_size(monkeypatch: pytest.MonkeyPatch) -> ProjectedEvent:
    monkeypatch.setattr(sql_module, "_MAX_INT", 2**80)
    return found("SECRET", duration_ms=2**70)


def text_as_it_is(monkeypatch: pytest.MonkeyPatch) -> ProjectedEvent:
    monkeypatch.setattr(sql_module, "storable", lambda text: text)
    customer = {**JOHN, "customer_id": "SECRET", "first_name": "SECRET\ud800"}
    return found("SECRET", basket="of its own", identifier="+49", customer=customer)


def nul_as_it_is(monkeypatch: pytest.MonkeyPatch) -> ProjectedEvent:
    monkeypatch.setattr(sql_module, "storable", lambda text: text)
    return found("SECRET", lookup_id="SECRET\0")


@pytest.mark.parametrize("at", [0, 5, 6])
@pytest.mark.parametrize("make", [whole_numbers_of_any_size, text_as_it_is])
async def test_an_event_whose_rows_are_refused_is_skipped_alone(
    engine: AsyncEngine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    make: Callable[[pytest.MonkeyPatch], ProjectedEvent],
    at: int,
) -> None:
    """As if a value had slipped through that our own checks are there to stop."""
    poison = make(monkeypatch)
    others = [found(f"e{number}", basket=f"basket_{number}") for number in range(6)]
    with caplog.at_level(logging.WARNING):
        await SqlProjection(engine).apply(
            [*others[:at], ProjectedEvent(poison.topic, poison.value, 0, 9), *others[at:]]
        )
    assert await ids(engine) == [f"e{number}" for number in range(6)]
    (line,) = caplog.messages
    assert re.match(r"skipped an event of [a-z-]+/0/9: the database refuses its rows \(\w+", line)
    assert "SECRET" not in caplog.text


@pytest.mark.skipif("postgresql" not in DATABASES, reason="SQLite takes any text")
async def test_what_only_the_server_refuses_is_skipped_alone_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with database("postgresql", tmp_path) as url:
        engine = create_engine(url)
        await make_tables(engine)
        too_long = found("SECRET", error_message=None, basket="b9", lookup_id="SECRET" * 20)
        async with engine.begin() as connection:
            await connection.execute(
                text('ALTER TABLE lookup_answers ALTER lookup_id TYPE varchar(100) COLLATE "C"')
            )
        with caplog.at_level(logging.WARNING):
            await SqlProjection(engine).apply(
                [found("e1"), nul_as_it_is(monkeypatch), logged("l1"), too_long, started()]
            )
        assert await ids(engine) == ["e1"]
        assert [re.findall(r"\(.*\)", line) for line in caplog.messages] == [
            ["(DataError 22P05)"],
            ["(DataError 22001)"],
        ]
        assert "SECRET" not in caplog.text
        await engine.dispose()


async def test_a_table_that_is_missing_is_no_reason_to_skip(engine: AsyncEngine) -> None:
    projection = Watched(SqlProjection(engine))
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE lookup_answers RENAME TO hidden"))
    batch = fetched(found("e1"), found("e2"))
    projecting = asyncio.create_task(write(projector(projection), batch))
    assert isinstance(await projection.error(), DBAPIError)
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE hidden RENAME TO lookup_answers"))
    await asyncio.wait_for(projecting, SOON_SECONDS)
    assert await ids(engine) == ["e1", "e2"]


async def test_a_database_that_is_away_is_no_reason_to_skip() -> None:
    gone = create_engine("postgresql://127.0.0.1:1/none")
    with pytest.raises(DatabaseAway, match="Connection refused"):
        await SqlProjection(gone).apply([found("e1")])
    await gone.dispose()
