"""As fast as the same answers get from SQL: aiohttp, a statement by hand for each query, orjson.

It knows the queries by their texts, reads only the columns that they ask for, and runs no GraphQL.
SQLite is read in the event loop, PostgreSQL by asyncpg with prepared statements.
"""

import sqlite3
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import asyncpg
import orjson
import uvloop
from aiohttp import web
from sqlalchemy.engine import URL, make_url

from benchmarks.graphql_queries import (
    BY_ID,
    BY_IDENTIFIER,
    OF_TIER,
    PATH,
    STATISTICS,
    WITH_IDENTIFIERS,
)
from posstream.read_model.reading import READERS
from posstream.read_model.stored_time import stored
from posstream.startup.process import collect_garbage_rarely

Rows = Sequence[Sequence[Any]]
Variables = Mapping[str, Any]
#: Reads the rows of a statement with its values.
Fetch = Callable[..., Awaitable[Rows]]

_BY_ID: Final = (
    "SELECT first_name, last_name, tier, loyalty_points FROM customers WHERE customer_id = $1"
)
_BY_IDENTIFIER: Final = (
    "SELECT customer_id, first_name, last_name, tier, loyalty_points "
    "FROM customer_identifiers JOIN customers USING (customer_id) "
    "WHERE customer_identifiers.identifier = $1"
)
_OF_TIER: Final = (
    "SELECT customer_id, first_name, last_name, tier FROM customers "
    "WHERE tier = $1 ORDER BY customer_id LIMIT $2"
)
_WITH_IDENTIFIERS: Final = (
    "SELECT listed.customer_id, customer_identifiers.identifier "
    "FROM (SELECT customer_id FROM customers ORDER BY customer_id LIMIT $1) AS listed "
    "LEFT JOIN customer_identifiers USING (customer_id) ORDER BY 1, 2"
)
_STATISTICS: Final = (
    "SELECT count(*), count(CASE WHEN source = 'CACHE' THEN 1 END), "
    "(SELECT count(*) FROM customer_lookup_logs WHERE request_timestamp >= $1), "
    "(SELECT coalesce(sum(waiters), 0) FROM (SELECT max(waiters) AS waiters "
    "FROM customer_lookup_logs WHERE request_timestamp >= $1 AND waiters > 0 "
    "GROUP BY coalesce(lookup_id, event_id)) AS shared) "
    "FROM lookup_answers WHERE occurred_at >= $1"
)
_HOUR: Final = timedelta(hours=1)


async def _by_id(fetch: Fetch, variables: Variables) -> Any:
    names = ("firstName", "lastName", "tier", "loyaltyPoints")
    rows = await fetch(_BY_ID, variables["id"])
    return {"customer": dict(zip(names, rows[0], strict=True)) if rows else None}


async def _by_identifier(fetch: Fetch, variables: Variables) -> Any:
    names = ("customerId", "firstName", "lastName", "tier", "loyaltyPoints")
    rows = await fetch(_BY_IDENTIFIER, variables["identifier"])
    return {"customerByIdentifier": dict(zip(names, rows[0], strict=True)) if rows else None}


async def _of_tier(fetch: Fetch, variables: Variables) -> Any:
    first = variables["first"]
    names = ("customerId", "firstName", "lastName", "tier")
    rows = await fetch(_OF_TIER, variables["tier"], first + 1)
    edges = [{"node": dict(zip(names, row, strict=True))} for row in rows[:first]]
    return {"customers": {"edges": edges, "pageInfo": {"hasNextPage": len(rows) > first}}}


async def _with_identifiers(fetch: Fetch, variables: Variables) -> Any:
    rows = await fetch(_WITH_IDENTIFIERS, variables["first"])
    nodes = [
        {"customerId": who, "identifiers": [one for _, one in some if one is not None]}
        for who, some in groupby(rows, key=itemgetter(0))
    ]
    return {"customers": {"edges": [{"node": node} for node in nodes]}}


async def _statistics(fetch: Fetch, _variables: Variables) -> Any:
    ((lookups, hits, attempts, saved),) = await fetch(_STATISTICS, datetime.now(UTC) - _HOUR)
    return {
        "lookupStats": {
            "lookups": lookups,
            "hitRatio": hits / lookups if lookups else None,
            "apiAttempts": attempts,
            "callsSavedByCoalescing": int(saved),
        }
    }


_ANSWERS: Final = {
    BY_ID.text: _by_id,
    BY_IDENTIFIER.text: _by_identifier,
    OF_TIER.text: _of_tier,
    WITH_IDENTIFIERS.text: _with_identifiers,
    STATISTICS.text: _statistics,
}


def from_sqlite(url: URL) -> Fetch:
    """Read a SQLite file."""
    connection = sqlite3.connect(f"file:{url.database}?mode=ro", uri=True, isolation_level=None)

    async def fetch(statement: str, *values: Any) -> Rows:
        written = [stored(it) if isinstance(it, datetime) else it for it in values]
        return connection.execute(statement.replace("$", "?"), written).fetchall()

    return fetch


async def from_postgresql(url: URL) -> Fetch:
    """Read from a PostgreSQL server, with as many connections as posstream reads with."""
    pool = await asyncpg.create_pool(
        host=url.host,
        port=url.port,
        user=url.username,
        database=url.database,
        ssl=False,
        min_size=READERS,
        max_size=READERS,
        # Nothing is left in a session that would have to be reset: that is a message less.
        reset=_nothing,
    )
    fetch: Fetch = pool.fetch
    return fetch


async def _nothing(_connection: Any) -> None:
    pass


async def application(address: str) -> web.Application:
    """The server of one database."""
    url = make_url(address)
    fetch = from_sqlite(url) if url.get_backend_name() == "sqlite" else await from_postgresql(url)

    async def answer(request: web.Request) -> web.Response:
        asked = orjson.loads(await request.read())
        data = await _ANSWERS[asked["query"]](fetch, asked["variables"])
        return web.Response(body=orjson.dumps({"data": data}), content_type="application/json")

    made = web.Application()
    made.router.add_post(PATH, answer)
    return made


def run(port: str, url: str) -> None:
    """Answer until the process is ended."""
    collect_garbage_rarely()
    web.run_app(
        application(url),
        host="127.0.0.1",
        port=int(port),
        access_log=None,
        print=None,
        loop=uvloop.new_event_loop(),
    )


if __name__ == "__main__":
    run(*sys.argv[1:])
