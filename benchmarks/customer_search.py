"""`python -m benchmarks.customer_search [CUSTOMERS] [--postgres URL] [--json FILE]`: the search.

Fills a database of its own, on SQLite and, with `--postgres` (or POSSTREAM_TEST_DATABASE_URL, as
`python -m tests.servers postgres -- …` sets it), in a new one of that server, and measures how long
the console's search for a part of a name, phone or e-mail takes, as support and as a viewer, and
as how many lookups by id. Nothing here asserts a time.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from sqlalchemy import insert, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup.read_model.queries import SqlReadModel
from agents.customer_lookup.read_model.schema import CUSTOMER_IDENTIFIERS, CUSTOMERS
from posstream.domain.times import from_ms
from posstream.plugins.discovery import find_plugins
from posstream.read_model.engine import create_engine
from posstream.read_model.migrate import upgrade

CUSTOMERS_FILLED: Final = 100_000
#: Rows that the console's page reads.
_ROWS: Final = 51
_BATCH: Final = 5_000
_REPEATS: Final = 15
_FIRST: Final = ("Ada", "Émile", "Jürgen", "Maria", "Noor", "Olga", "Pedro", "Siân", "Tove", "Yuki")
_LAST: Final = ("Acker", "Brandt", "Costa", "Dumont", "Eriksen", "Fuchs", "Garcia", "Huang")
_AT: Final = from_ms(1_769_846_400_000)


def questions(count: int) -> dict[str, dict[str, Any]]:
    """What is searched for, from many matches to none, by its title."""
    last = f"{count - 1:07}"
    return {
        "a name of many": {"search": "brandt"},
        "a whole name": {"search": f"yuki huang {last}"},
        "part of a phone": {"search": f"55{last}"},
        "part of an e-mail": {"search": f"{last}@shop"},
        "nobody": {"search": "nobody at all"},
        "nobody, of a tier": {"search": "nobody at all", "tier": "GOLD"},
        "nobody, as a viewer": {"search": "nobody at all", "names_only": True},
        "a whole name, as a viewer": {"search": f"huang {last}", "names_only": True},
    }


async def fill(engine: AsyncEngine, count: int) -> None:
    """Customers with two identifiers each."""
    for start in range(0, count, _BATCH):
        customers, identifiers = [], []
        for number in range(start, min(start + _BATCH, count)):
            customer, leading = _customer(number)
            customers.append(customer)
            identifiers.extend(leading)
        async with engine.begin() as connection:
            await connection.execute(insert(CUSTOMERS), customers)
            await connection.execute(insert(CUSTOMER_IDENTIFIERS), identifiers)
    async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        await connection.execute(text("ANALYZE"))


def _customer(number: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    # The numbers are spread over the ids, so that no question is answered by the first rows.
    tail = f"{number:07}"
    first, last = _FIRST[number % len(_FIRST)], f"{_LAST[number % len(_LAST)]} {tail}"
    phone, email = f"+4955{tail}", f"{first}.{tail}@shop.example".lower()
    customer_id = f"CUST_{tail}"
    customer = {
        "customer_id": customer_id,
        "identifier": phone,
        "first_name": first,
        "last_name": last,
        "email": email,
        "phone": phone,
        "loyalty_points": number,
        "tier": ("BRONZE", "SILVER", "GOLD", "PLATINUM")[number % 4],
        "total_purchases": Decimal(0),
        "created_at": _AT,
        "updated_at": _AT,
        "attributes": {},
        "fetched_at": _AT,
        "search_text": f"{first} {last}\n{email}\n{phone}".casefold(),
    }
    seen = {"customer_id": customer_id, "first_seen_at": _AT, "fetched_at": _AT}
    return customer, [
        seen | {"identifier": phone, "kind": "PHONE"},
        seen | {"identifier": email, "kind": "EMAIL"},
    ]


async def milliseconds(ask: Callable[[], Awaitable[object]]) -> float:
    """The fastest of some repeats: what else the machine does is not the search's."""
    await ask()
    taken = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        await ask()
        taken.append((time.perf_counter() - began) * 1000)
    return min(taken)


async def measure(url: str, count: int) -> dict[str, float]:
    """Fill a database and ask it; milliseconds by title."""
    engine = create_engine(url)
    try:
        await upgrade(engine, find_plugins())
        await fill(engine, count)
        model = SqlReadModel(engine)
        taken = {"one customer by id": await milliseconds(lambda: model.customer("CUST_0000042"))}
        for title, question in questions(count).items():
            taken[title] = await milliseconds(
                lambda question=question: model.next_customers(first=_ROWS, **question)  # type: ignore[misc]
            )
        return taken
    finally:
        await engine.dispose()


@asynccontextmanager
async def new_database(server: str) -> AsyncIterator[str]:
    """A database on a PostgreSQL server that is dropped afterwards."""
    name = f"posstream_bench_{uuid.uuid4().hex[:12]}"
    engine = create_engine(server).execution_options(isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(f'CREATE DATABASE "{name}"'))
        try:
            yield make_url(server).set(database=name).render_as_string(hide_password=False)
        finally:
            await connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    await engine.dispose()


def show(database: str, taken: dict[str, float]) -> None:
    """Print one database's numbers."""
    by_id = taken["one customer by id"]
    print(f"\n{database}")
    for title, ms in taken.items():
        print(f"  {title:28} {ms:8.1f} ms  {ms / by_id:7.1f} x")


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("customers", nargs="?", type=int, default=CUSTOMERS_FILLED)
    parser.add_argument(
        "--postgres",
        default=os.environ.get("POSSTREAM_TEST_DATABASE_URL"),
        help="a server, and a role that may create databases",
    )
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        results["SQLite"] = await measure(f"sqlite:///{folder}/posstream.db", given.customers)
    show(f"SQLite, {given.customers} customers", results["SQLite"])
    if given.postgres:
        async with new_database(given.postgres) as url:
            results["PostgreSQL"] = await measure(url, given.customers)
        show(f"PostgreSQL, {given.customers} customers", results["PostgreSQL"])
    if given.json:
        given.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    asyncio.run(main())
