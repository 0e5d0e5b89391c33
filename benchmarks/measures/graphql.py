"""GraphQL over HTTP: requests a second, beside another framework, the limit, and an idle answer."""

import asyncio
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

import orjson

from benchmarks import processes
from benchmarks.databases import on_each_database
from benchmarks.figures import Bar, bars, figure, ratios, table
from benchmarks.graphql_queries import PATH, QUERIES
from benchmarks.graphql_rows import fill
from benchmarks.http_load import ask
from benchmarks.posstream_worker import POSSTREAM, Posstream, watched
from benchmarks.progress import say
from benchmarks.runs import Process, Watched
from benchmarks.setting import Setting
from benchmarks.stage import Stage, stage
from benchmarks.verdict import WrongAnswers
from posstream.kafka.embedded_broker import free_port
from posstream.settings import Settings

CUSTOMERS: Final = 10_000
FLOOR: Final = "GET /health/live"
#: Modules of contestants, and what they are called in tables.
_CONTESTANTS: Final = {
    POSSTREAM: "posstream",
    "strawberry_fastapi": "Strawberry on FastAPI",
    "aiohttp_sql": "SQL by hand on aiohttp",
}
#: Requests a second of eight connections, and the latency of the slowest query.
_BARS: Final = {
    "customer by id": 2_000,
    "customer by identifier": 2_000,
    "20 customers of a tier": 1_000,
}
_P99_MS: Final = 30
_READY_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class _Server:
    """A contestant that answers."""

    url: str
    who: Watched

    def answer(self, title: str) -> Any:
        """What it answers to one query.

        Raises:
            OSError: if it does not answer, or not with 200.
        """
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}{PATH}", QUERIES[title].body, headers)  # noqa: S310 - our own
        with urllib.request.urlopen(request) as response:  # noqa: S310 - our own
            return orjson.loads(response.read())


@dataclass(frozen=True, slots=True)
class Asked:
    """What a server did under one kind of request."""

    rate: float
    p99_ms: float
    #: Microseconds of its CPU for a request; without the database's.
    cpu_us: float


def measure(setting: Setting) -> dict[str, Any]:
    """Each query to each contestant in turns; all have the same database and nothing else to do.

    Returns:
        The customers in each database, and what the servers did by database, contestant and query;
        databases that this machine lacks are left out.

    Raises:
        WrongAnswers: if a contestant does not answer as posstream does.
    """
    with stage(setting.folder / "graphql", embedded=setting.embedded) as on:
        served = on_each_database(partial(_served, on, setting))
        broker = on.broker
    return {"broker": broker, "customers": CUSTOMERS, "served": served}


def _served(on: Stage, setting: Setting, database: str, url: str | None) -> dict[str, Any]:
    served: dict[str, dict[str, list[Asked]]] = {
        name: {title: [] for title in ((FLOOR, *QUERIES) if name == POSSTREAM else QUERIES)}
        for name in _CONTESTANTS
        if name == POSSTREAM or name in (setting.contestants or _CONTESTANTS)
    }
    with ExitStack() as afterwards:
        servers = afterwards.enter_context(_servers(on, list(served), url))
        _check(servers)
        for number in range(1, setting.rounds + 1):
            for title in (FLOOR, *QUERIES):
                for name, by_title in served.items():
                    if title in by_title:
                        by_title[title].append(it := _asked(servers[name], title))
                        say(
                            f"round {number} of {setting.rounds}: {database:10} {title:30} "
                            f"{_CONTESTANTS[name]:22} {it.rate:7,.0f}/s p99 {it.p99_ms:6.1f} ms "
                            f"{it.cpu_us:6.0f} us"
                        )
    return {
        name: {title: [asdict(it) for it in made] for title, made in by_title.items()}
        for name, by_title in served.items()
    }


@contextmanager
def _servers(on: Stage, names: Sequence[str], url: str | None) -> Iterator[Mapping[str, _Server]]:
    """The contestants on one database, which is filled."""
    posstream = Posstream(on, database_url=url)
    url = url or Settings(datadir=posstream.worker().datadir).database_url
    asyncio.run(fill(url, CUSTOMERS))
    with ExitStack() as afterwards:
        workers = afterwards.enter_context(posstream.started())
        servers = {POSSTREAM: _Server(workers[0].url, watched(workers))}
        for name in names:
            if name != POSSTREAM:
                port = str(free_port())
                command = [sys.executable, "-m", f"benchmarks.contestants.{name}", port, url]
                process = Process(name, command, on.new_folder(name))
                afterwards.enter_context(process.started())
                servers[name] = _Server(f"http://127.0.0.1:{port}", process.watched)
                _wait(servers[name])
        yield servers


def _wait(server: _Server) -> None:
    give_up_at = time.monotonic() + _READY_SECONDS
    while True:
        try:
            server.answer(next(iter(QUERIES)))
        except OSError as why:
            if not server.who.running() or time.monotonic() > give_up_at:
                message = f"{server.who.title} does not answer: {server.who.log()[-3000:]}"
                raise RuntimeError(message) from why
            time.sleep(0.05)
        else:
            return


def _check(servers: Mapping[str, _Server]) -> None:
    for title in QUERIES:
        expected = servers[POSSTREAM].answer(title)
        if "errors" in expected:
            raise WrongAnswers(f"{title}: {expected}")
        for name, server in servers.items():
            if (answer := server.answer(title)) != expected:
                raise WrongAnswers(f"{_CONTESTANTS[name]}, {title}: {answer}, not {expected}")


def _asked(server: _Server, title: str) -> Asked:
    pids = processes.trees(server.who.pids())
    before = processes.cpu_seconds(pids)
    if title == FLOOR:
        made = ask(f"{server.url}/health/live")
    else:
        made = ask(f"{server.url}{PATH}", QUERIES[title].body)
    cpu_seconds = processes.cpu_seconds(pids) - before
    return Asked(made.rate, made.p99_ms, cpu_seconds / made.count * 1e6)


def section(found: dict[str, Any]) -> str:
    """Requests a second by database and query, beside the others, and the bars."""
    return "\n\n".join(
        _table(database, served) + bars(_bars(database, served[POSSTREAM]))
        for database, served in found["served"].items()
    )


def _bars(database: str, ours: Mapping[str, Any]) -> list[Bar]:
    return [
        *(
            Bar(f"{title} on {database}, requests/s", asked, _of(ours[title], "rate"))
            for title, asked in _BARS.items()
        ),
        Bar(
            f"the slowest p99 on {database}",
            _P99_MS,
            [max(each) for each in zip(*(_of(ours[it], "p99_ms") for it in QUERIES), strict=True)],
            at_most=True,
            unit=" ms",
        ),
    ]


def _table(database: str, served: Mapping[str, Mapping[str, Any]]) -> str:
    ours = served[POSSTREAM]
    rows = [
        [
            title,
            _CONTESTANTS[name],
            figure(_of(by_title[title], "rate")),
            ""
            if name == POSSTREAM
            else figure(ratios(_of(ours[title], "rate"), _of(by_title[title], "rate")), 2),
            figure(_of(by_title[title], "p99_ms"), 1),
            figure(_of(by_title[title], "cpu_us")),
        ]
        for title in (FLOOR, *QUERIES)
        for name, by_title in served.items()
        if title in by_title
    ]
    head = ["", "requests/s", "posstream / this", "p99, ms", "CPU, us a request"]
    return table([database, *head], rows)


def _of(made: Sequence[Mapping[str, float]], what: str) -> list[float]:
    return [it[what] for it in made]
