"""GraphQL over HTTP: requests a second, beside the least that the same server can answer."""

import asyncio
from dataclasses import asdict
from typing import Any, Final

import orjson

from benchmarks.customer_search import fill
from benchmarks.figures import Bar, bars, figure, ratios, table
from benchmarks.http_load import Served, ask
from benchmarks.posstream_worker import Posstream
from benchmarks.progress import say
from benchmarks.setting import Setting
from benchmarks.stage import Stage, stage
from posstream.plugins.discovery import find_plugins
from posstream.read_model.engine import create_engine
from posstream.read_model.migrate import upgrade
from posstream.settings import Settings
from tests.servers import postgres

CUSTOMERS: Final = 10_000
FLOOR: Final = "GET /health/live"
QUERIES: Final = {
    "customer by id": '{ customer(customerId: "CUST_0000042") '
    "{ firstName lastName tier loyaltyPoints } }",
    "customer by identifier": '{ customerByIdentifier(identifier: "+49550000042") '
    "{ customerId firstName lastName tier loyaltyPoints } }",
    "20 customers of a tier": '{ customers(first: 20, tier: "GOLD") '
    "{ edges { node { customerId firstName lastName tier } } pageInfo { hasNextPage } } }",
    "20 customers with identifiers": "{ customers(first: 20) "
    "{ edges { node { customerId identifiers } } } }",
    "figures of the last hour": "{ lookupStats { __typename } }",
}
#: Requests a second of eight connections, and the latency of the slowest query.
_BARS: Final = {
    "customer by id": 2_000,
    "customer by identifier": 2_000,
    "20 customers of a tier": 1_000,
}
_P99_MS: Final = 30


def measure(setting: Setting) -> dict[str, Any]:
    """Each query and the floor, in turns, on a worker that has nothing else to do.

    Returns:
        The customers in each database, and what the server did by database and query; databases
        that this machine lacks are left out.
    """
    with stage(setting.folder / "graphql", embedded=setting.embedded) as on:
        served = {"SQLite": _served(on, setting, None)}
        if (lacking := postgres.lacking()) is None:
            with postgres.running() as url:
                served["PostgreSQL"] = _served(on, setting, url)
        else:
            say(f"no PostgreSQL: {lacking}")
        broker = on.broker
    return {"broker": broker, "customers": CUSTOMERS, "served": served}


def _served(on: Stage, setting: Setting, url: str | None) -> dict[str, list[dict[str, Any]]]:
    served: dict[str, list[Served]] = {title: [] for title in (FLOOR, *QUERIES)}
    posstream = Posstream(on, database_url=url)
    asyncio.run(_fill(url or Settings(datadir=posstream.worker().datadir).database_url))
    with posstream.started() as (worker,):
        for number in range(1, setting.rounds + 1):
            for title, made in served.items():
                if title == FLOOR:
                    made.append(ask(f"{worker.url}/health/live"))
                else:
                    body = orjson.dumps({"query": QUERIES[title]})
                    made.append(ask(f"{worker.url}/graphql/", body))
                say(
                    f"round {number} of {setting.rounds}: {'PostgreSQL' if url else 'SQLite':10} "
                    f"{title:32} {made[-1].rate:7,.0f}/s p99 {made[-1].p99_ms:6.1f} ms"
                )
    return {title: [asdict(it) for it in made] for title, made in served.items()}


async def _fill(url: str) -> None:
    engine = create_engine(url)
    await upgrade(engine, find_plugins())
    await fill(engine, CUSTOMERS)
    await engine.dispose()


def section(found: dict[str, Any]) -> str:
    """Requests a second by database and query, and their share of the floor."""
    return "\n\n".join(
        _table(database, served) + bars(_bars(database, served))
        for database, served in found["served"].items()
    )


def _bars(database: str, served: dict[str, Any]) -> list[Bar]:
    def of(title: str, what: str) -> list[float]:
        return [it[what] for it in served[title]]

    return [
        *(
            Bar(f"{title} on {database}, requests/s", asked, of(title, "rate"))
            for title, asked in _BARS.items()
        ),
        Bar(
            f"the slowest p99 on {database}",
            _P99_MS,
            [max(each) for each in zip(*(of(it, "p99_ms") for it in QUERIES), strict=True)],
            at_most=True,
            unit=" ms",
        ),
    ]


def _table(database: str, served: dict[str, Any]) -> str:
    floor = [it["rate"] for it in served[FLOOR]]
    rows = [
        [
            title,
            figure([it["rate"] for it in made]),
            figure([it["p99_ms"] for it in made], 1),
            figure(ratios([it["rate"] for it in made], floor), 3),
        ]
        for title, made in served.items()
    ]
    return table([database, "requests/s", "p99, ms", "of the floor"], rows)
