"""Strawberry on FastAPI and uvicorn, over posstream's own read model: the same SQL and drivers.

So only the work above SQL differs. It remembers parsed and validated documents, writes JSON by
orjson, and runs on uvloop and httptools. It asks for no key, masks and limits nothing, and takes an
identifier as it is written.
"""

import sys
import time
from datetime import timedelta
from typing import Any, Final

import orjson
import strawberry
import uvicorn
from fastapi import FastAPI
from strawberry.extensions import ParserCache, ValidationCache
from strawberry.fastapi import GraphQLRouter

from agents.customer_lookup.graphql.customers import may_ask_for_identifiers
from agents.customer_lookup.read_model.queries import SqlReadModel
from benchmarks.graphql_queries import PATH
from posstream.domain.times import from_ms
from posstream.read_model.engine import create_engine
from posstream.read_model.reading import create_reading_engine
from posstream.startup.process import collect_garbage_rarely

_HOUR: Final = timedelta(hours=1)


@strawberry.type
class Customer:
    """The fields that are asked for. The rows of the read model have attributes of their names."""

    customer_id: strawberry.ID
    identifiers: list[str]
    first_name: str
    last_name: str
    tier: str
    loyalty_points: int


@strawberry.type
class CustomerEdge:
    """A customer in a list."""

    node: Customer


@strawberry.type
class PageInfo:
    """Where a page lies in its list."""

    has_next_page: bool


@strawberry.type
class CustomerConnection:
    """A page of customers."""

    edges: list[CustomerEdge]
    page_info: PageInfo


@strawberry.type
class LookupStats:
    """What was counted in the last hour."""

    lookups: int
    hit_ratio: float | None
    api_attempts: int
    calls_saved_by_coalescing: int


def query(read_model: Any) -> type[object]:
    """The root type over a read model; its rows stand in for the types above, uncopied."""

    @strawberry.type
    class Query:
        @strawberry.field
        async def customer(self, customer_id: strawberry.ID) -> Customer | None:
            found: Customer | None = await read_model.customer(customer_id)
            return found

        @strawberry.field
        async def customer_by_identifier(self, identifier: str) -> Customer | None:
            found: Customer | None = await read_model.customer_by_identifier(identifier)
            return found

        @strawberry.field
        async def customers(
            self, info: strawberry.Info, first: int = 20, tier: str | None = None
        ) -> CustomerConnection:
            rows = await read_model.next_customers(
                first=first + 1, tier=tier, identifiers=may_ask_for_identifiers(info)
            )
            return CustomerConnection(
                edges=[CustomerEdge(node=row) for row in rows[:first]],
                page_info=PageInfo(has_next_page=len(rows) > first),
            )

        @strawberry.field
        async def lookup_stats(self) -> LookupStats:
            now = from_ms(time.time_ns() // 1_000_000)
            counted = await read_model.lookup_statistics(now - _HOUR)
            return LookupStats(
                lookups=counted.split.lookups,
                hit_ratio=counted.split.hit_ratio,
                api_attempts=sum(counted.attempts.values()),
                calls_saved_by_coalescing=counted.coalesced,
            )

    return Query


class Router(GraphQLRouter[Any, Any]):
    """With orjson instead of Python's own library."""

    def encode_json(self, data: object) -> bytes:
        """An answer as text."""
        return orjson.dumps(data)


async def _nothing() -> None:
    """The context and the root value. FastAPI would ask Strawberry's own functions in a thread."""


def application(url: str) -> FastAPI:
    """The server of one database."""
    read_model = SqlReadModel(create_reading_engine(create_engine(url)))
    schema = strawberry.Schema(query(read_model), extensions=[ParserCache, ValidationCache])
    made = FastAPI()
    made.include_router(
        Router(
            schema,
            path=PATH,
            graphql_ide=None,
            context_getter=_nothing,
            root_value_getter=_nothing,
        )
    )
    return made


def run(port: str, url: str) -> None:
    """Answer until the process is ended."""
    collect_garbage_rarely()
    uvicorn.run(
        application(url),
        port=int(port),
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
    )


if __name__ == "__main__":
    run(*sys.argv[1:])
