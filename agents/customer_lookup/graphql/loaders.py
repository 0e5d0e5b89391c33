"""What the resolvers of one request read together: many keys in one statement, each key once."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import cached_property
from typing import Final, TypeVar

from aiodataloader import DataLoader

from agents.customer_lookup.lookup_ports import lookup_ports
from agents.customer_lookup.read_model.records import BasketRow, CustomerRow
from web.graphql.context import GraphQLContext

#: Keys in one statement; SQLite takes 32,766 parameters, and nobody asks for so many.
MAX_BATCH: Final = 500

Row = TypeVar("Row")


class Loaders:
    """The loaders of one request: `context.once(Loaders)`. One that is not used costs nothing."""

    def __init__(self, context: GraphQLContext) -> None:
        self._read_model = lookup_ports(context).read_model

    @cached_property
    def customers(self) -> DataLoader[str, CustomerRow | None]:
        """Customers with their identifiers, by id; None where there is none."""
        return _loader(self._read_model.customers_by_ids)

    @cached_property
    def baskets(self) -> DataLoader[str, BasketRow | None]:
        """Baskets by id; None where nothing was seen."""
        return _loader(self._read_model.baskets_by_ids)


def _loader(
    read: Callable[[Iterable[str]], Awaitable[Mapping[str, Row]]],
) -> DataLoader[str, Row | None]:
    async def batch(ids: list[str]) -> list[Row | None]:
        rows = await read(ids)
        return [rows.get(one) for one in ids]

    return DataLoader(batch, max_batch_size=MAX_BATCH)
