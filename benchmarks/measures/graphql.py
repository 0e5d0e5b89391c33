"""GraphQL over HTTP: requests a second, beside the least that the same server can answer."""

import asyncio
from dataclasses import asdict
from typing import Any, Final

import orjson

from benchmarks.customer_search import fill
from benchmarks.figures import figure, ratios, table
from benchmarks.http_load import Served, ask
from benchmarks.posstream_worker import Posstream
from benchmarks.progress import say
from benchmarks.setting import Setting
from benchmarks.stage import stage
from posstream.plugins.discovery import find_plugins
from posstream.read_model.engine import create_engine
from posstream.read_model.migrate import upgrade
from posstream.settings import Settings

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


def measure(setting: Setting) -> dict[str, Any]:
    """Each query and the floor, in turns, on a worker that has nothing else to do.

    Returns:
        The customers in the database, and what the server did by query.
    """
    served: dict[str, list[Served]] = {title: [] for title in (FLOOR, *QUERIES)}
    with stage(setting.folder / "graphql", embedded=setting.embedded) as on:
        posstream = Posstream(on)
        asyncio.run(_fill(Settings(datadir=posstream.worker().datadir).database_url))
        with posstream.started() as (worker,):
            for number in range(1, setting.rounds + 1):
                for title, made in served.items():
                    if title == FLOOR:
                        made.append(ask(f"{worker.url}/health/live"))
                    else:
                        body = orjson.dumps({"query": QUERIES[title]})
                        made.append(ask(f"{worker.url}/graphql/", body))
                    say(
                        f"round {number} of {setting.rounds}: {title:32} "
                        f"{made[-1].rate:7,.0f}/s p99 {made[-1].p99_ms:6.1f} ms"
                    )
        broker = on.broker
    return {
        "broker": broker,
        "customers": CUSTOMERS,
        "served": {title: [asdict(it) for it in made] for title, made in served.items()},
    }


async def _fill(url: str) -> None:
    engine = create_engine(url)
    await upgrade(engine, find_plugins())
    await fill(engine, CUSTOMERS)
    await engine.dispose()


def section(found: dict[str, Any]) -> str:
    """Requests a second by query, and their share of the floor."""
    served = found["served"]
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
    return table(["", "requests/s", "p99, ms", "of the floor"], rows)
