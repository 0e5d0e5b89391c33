"""Rows: answers from Kafka into SQL, beside another framework's sink and the limit."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
from sqlalchemy import and_, func, select

from agents.customer_lookup import PLUGIN, topics
from agents.customer_lookup.read_model.schema import BASKETS, LOOKUP_ANSWERS
from benchmarks import scans
from benchmarks.cache_entries import document, identifier
from benchmarks.connecting import worker_settings
from benchmarks.contestants.answers import Headers, Known, Moment
from benchmarks.customer_search import new_database
from benchmarks.figures import Bar, bars, cpu_us, figure, mebibytes, rates, ratios, table, windows
from benchmarks.loads import Load
from benchmarks.posstream_worker import POSSTREAM
from benchmarks.progress import say
from benchmarks.races import told
from benchmarks.runs import Process, Run, watch_count
from benchmarks.setting import Setting
from benchmarks.stage import Stage, stage
from benchmarks.verdict import WrongAnswers
from posstream.domain.times import parse_utc
from posstream.kafka.topics import CUSTOMER_FORGOTTEN
from posstream.plugins.discovery import find_plugins
from posstream.read_model.columns import UtcDateTime
from posstream.read_model.engine import create_engine
from posstream.read_model.migrate import upgrade
from posstream.settings import PARTITIONS
from tests.integration.harness import environment
from tests.servers import postgres

#: Who writes into each database: modules of contestants, and what they are called in tables.
_CONTESTANTS: Final = {
    "SQLite": {POSSTREAM: "posstream project", "plain_sink": "plain loop, `executemany`"},
    "PostgreSQL": {
        POSSTREAM: "posstream project",
        "quix_sink": "Quix Streams, its PostgreSQL sink",
        "plain_sink": "plain loop, COPY and upsert",
    },
}
#: Rows a second.
_BAR: Final = 40_000
#: The row of every so many answers is read, the others are counted.
_SAMPLE: Final = 1_000


@dataclass(frozen=True, slots=True)
class _Answers:
    """The answers on the topic: from the cache, each for a basket of its own."""

    count: int
    customers: int
    #: Some of them, by their baskets.
    sample: dict[str, bytes] = field(default_factory=dict)

    def made(self) -> Iterator[tuple[bytes, bytes, Headers]]:
        """Key, value and headers of each."""
        known = {identifier(it): Known.of(document(it)) for it in range(self.customers)}
        for number, (_, text) in enumerate(Load(self.customers).events(self.count, tag=0)):
            event = orjson.loads(text)
            key, value, headers = Moment().full(event, known[event["customer_identifier"]])
            if number % _SAMPLE == 0:
                self.sample[key.decode()] = value
            yield key, value, headers


def measure(setting: Setting) -> dict[str, Any]:
    """Runs of each contestant with each database, in turns, each time with an empty one.

    Returns:
        The broker, how many answers there were, and the runs by database and contestant; databases
        that this machine lacks are left out.
    """
    answers = _Answers(setting.events, setting.customers)
    with ExitStack() as afterwards:
        on = afterwards.enter_context(stage(setting.folder / "rows", embedded=setting.embedded))
        servers: dict[str, postgres.Server | None] = {"SQLite": None}
        if (lacking := postgres.lacking()) is None:
            servers["PostgreSQL"] = server = afterwards.enter_context(postgres.server())
            asyncio.run(server.ready())
        else:
            say(f"no PostgreSQL: {lacking}")
        for name in (*topics.PROJECTED, CUSTOMER_FORGOTTEN):
            on.create(name, PARTITIONS)
        scans.write(on.servers, topics.CUSTOMER_DATA_FETCHED, answers.made())
        runs: dict[str, dict[str, list[Run]]] = {
            database: {
                name: []
                for name in _CONTESTANTS[database]
                if name in (setting.contestants or _CONTESTANTS[database])
            }
            for database in servers
        }
        for number in range(1, setting.rounds + 1):
            for database, by_name in runs.items():
                for name, made in by_name.items():
                    made.append(asyncio.run(_run(on, name, answers, servers[database])))
                    text = f"round {number} of {setting.rounds}: {database:10}"
                    told(text, _CONTESTANTS[database][name], made[-1], beside="database server")
        broker = on.broker
    return {
        "broker": broker,
        "answers": setting.events,
        "customers": setting.customers,
        "runs": {
            database: {name: [asdict(it) for it in made] for name, made in by_name.items()}
            for database, by_name in runs.items()
        },
    }


async def _run(on: Stage, name: str, answers: _Answers, server: postgres.Server | None) -> Run:
    folder = on.new_folder(name)
    async with _database(folder, server) as url:
        group = PLUGIN.projection_group if name == POSSTREAM else folder.name
        process = _process(on, name, folder, group, url)
        with (
            process.started(),
            # Everybody commits what is in the database; to count rows would take CPU time.
            on.committing(group, topics.CUSTOMER_DATA_FETCHED) as counted,
        ):
            window, rss = watch_count(
                process.watched,
                counted,
                answers.count,
                beside=server.processes()[:1] if server else (),
            )
        if name == POSSTREAM:  # its group has the same name in each run
            on.forget_group(group)
        await _check(url, answers)
    return Run(window, rss)


@asynccontextmanager
async def _database(folder: Path, server: postgres.Server | None) -> AsyncIterator[str]:
    """The URL of an empty read model."""
    if server is None:
        file = folder / "rows.sqlite3"
        await _migrate(f"sqlite:///{file}")
        yield f"sqlite:///{file}"
        file.unlink()
        return
    async with new_database(server.url) as url:
        await _migrate(url)
        yield url


async def _migrate(url: str) -> None:
    engine = create_engine(url)
    await upgrade(engine, find_plugins())
    await engine.dispose()


def _process(on: Stage, name: str, folder: Path, group: str, url: str) -> Process:
    if name == POSSTREAM:
        return Process(
            POSSTREAM,
            [sys.executable, "-m", "posstream.cli", "project"],
            folder,
            environment(
                broker=f"kafka://{on.servers.replace(',', ';')}",
                datadir=folder,
                database_url=url,
                **worker_settings(),
            ),
        )
    module = f"benchmarks.contestants.{name}"
    where = (on.servers, topics.CUSTOMER_DATA_FETCHED, group, url)
    return Process(name, [sys.executable, "-m", module, *where], folder)


async def _check(url: str, answers: _Answers) -> None:
    """Look whether each answer has its rows.

    Raises:
        WrongAnswers: if not.
    """
    answer, basket = LOOKUP_ANSWERS.c, BASKETS.c
    of_basket = and_(
        basket.basket_id == answer.basket_id,
        basket.identified_by == answer.event_id,
        basket.identified_at == answer.identified_at,
        basket.customer_id == answer.customer_id,
    )
    counted = select(func.count()).select_from(LOOKUP_ANSWERS.join(BASKETS, of_basket))
    sampled = select(LOOKUP_ANSWERS).where(answer.basket_id.in_(answers.sample))
    engine = create_engine(url)
    async with engine.connect() as connection:
        count = (await connection.execute(counted)).scalar_one()
        rows = (await connection.execute(sampled)).mappings().all()
    await engine.dispose()
    if count != answers.count:
        raise WrongAnswers(f"{answers.count - count} of {answers.count} answers have no rows")
    found = {row["basket_id"]: dict(row) for row in rows}
    for basket_id, text in answers.sample.items():
        if found[basket_id] != (expected := _row(text)):
            raise WrongAnswers(f"{found[basket_id]} instead of {expected}")


def _row(text: bytes) -> dict[str, Any]:
    answer = orjson.loads(text)
    answer["customer_id"] = answer["customer"]["customer_id"]
    return {
        column.name: parse_utc(answer[column.name])
        if isinstance(column.type, UtcDateTime)
        else answer.get(column.name)
        for column in LOOKUP_ANSWERS.columns
    }


def section(found: dict[str, Any]) -> str:
    """A table for each database, and the bars."""
    runs = found["runs"]
    wanted = [
        Bar(f"posstream on {database}, rows/s", _BAR, rates(by_name[POSSTREAM]))
        for database, by_name in runs.items()
        if POSSTREAM in by_name
    ]
    return (
        f"{found['answers']:,} answers for {found['customers']:,} customers.\n\n"
        + "\n\n".join(_table(database, by_name) for database, by_name in runs.items())
        + bars(wanted)
    )


def _table(database: str, runs: dict[str, Any]) -> str:
    ours = runs.get(POSSTREAM)
    rows = []
    for name, made in runs.items():
        server = [it.broker_cpu_us for it in windows(made)]
        rows.append(
            [
                _CONTESTANTS[database][name],
                figure(rates(made)),
                figure(ratios(rates(ours), rates(made)), 2) if ours and made != ours else "",
                figure(cpu_us(made), 1),
                figure(server, 1) if any(server) else "",
                figure(mebibytes(made)),
            ]
        )
    head = ["rows/s", "posstream / this", "CPU, us a row", "database server's, us", "memory, MiB"]
    return table([database, *head], rows)
