"""Read the read model: customers, baskets and lookups for the web view, in a few statements."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Select, bindparam, select
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup.read_model.customer_history import ALL_CUSTOMERS, CustomerHistoryQueries
from agents.customer_lookup.read_model.customer_search import is_searched
from agents.customer_lookup.read_model.lookup_answers import AnswerQueries, newest_answers
from agents.customer_lookup.read_model.lookup_counts import CountQueries
from agents.customer_lookup.read_model.lookup_logs import (
    AttemptQueries,
    newest_attempts,
    origins_of,
)
from agents.customer_lookup.read_model.lookup_statistics import StatisticsQueries
from agents.customer_lookup.read_model.records import (
    BasketHistory,
    BasketRow,
    CustomerRow,
)
from agents.customer_lookup.read_model.schema import (
    BASKETS,
    CUSTOMER_IDENTIFIERS,
    CUSTOMER_LOOKUP_LOGS,
    CUSTOMERS,
    LOOKUP_ANSWERS,
)
from agents.customer_lookup.read_model.typed_rows import bounded, columns_of, limited
from posstream.domain.printable import is_storable
from posstream.domain.search import folded
from posstream.read_model.engine import read_only
from posstream.read_model.listing import count_up_to
from posstream.read_model.prepared import Prepared
from posstream.read_model.reading import read, read_in_turn, reading

#: Most answers of one basket that are shown; a till scans a few times.
MAX_ANSWERS: Final = 50
#: Most attempts; each lookup has a few.
MAX_ATTEMPTS: Final = 200

_ALIASES: Final = CUSTOMER_IDENTIFIERS.c


class SqlReadModel(
    AnswerQueries, AttemptQueries, CountQueries, CustomerHistoryQueries, StatisticsQueries
):
    """The read model in SQLite or PostgreSQL.

    Every method may raise the database's errors, and `ReadModelBusy` where too many read at once
    or one asks too much.

    Args:
        engine: from `engine.create_engine`, migrated.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = read_only(engine)

    async def customer(self, customer_id: str) -> CustomerRow | None:
        """One customer by id; None if there is none."""
        return (await self.customers_by_ids([customer_id])).get(customer_id)

    async def customers_by_ids(self, ids: Iterable[str]) -> Mapping[str, CustomerRow]:
        """The customers among `ids` that exist, by id; for a data loader."""
        asked = _asked(ids)
        if not asked:
            return {}
        values = _numbered(asked)
        rows = await read(self._engine, _customers_of(len(values)), values)
        return {row.customer_id: row for row in _customers(rows)}

    async def baskets_by_ids(self, ids: Iterable[str]) -> Mapping[str, BasketRow]:
        """The baskets among `ids` of which anything was seen, by id; for a data loader."""
        asked = _asked(ids)
        if not asked:
            return {}
        values = _numbered(asked)
        rows = await read(self._engine, _baskets_of(len(values)), values)
        return {row.basket_id: row for row in (BasketRow(*row) for row in rows)}

    async def customer_by_identifier(self, identifier: str) -> CustomerRow | None:
        """One customer by a normalised identifier, any of the known ones."""
        if not is_storable(identifier):
            return None
        rows = await read(self._engine, _by_identifier(), {"identifier": identifier})
        return next(iter(_customers(rows)), None)

    async def next_customers(  # noqa: PLR0913 - each narrows the list or the rows
        self,
        *,
        first: int,
        after: str | None = None,
        tier: str | None = None,
        search: str | None = None,
        names_only: bool = False,
        identifiers: bool = True,
        rising: bool = True,
    ) -> Sequence[CustomerRow]:
        """The next customers by customer_id, at most `first` of them.

        Args:
            first: 1 to 1,000; what is outside counts as the nearer end.
            after: only those whose customer_id is greater, or smaller if the list is falling.
            tier: exactly this tier.
            search: part of a name, e-mail, phone, identifier or customer_id, in any writing;
                `Doe, John` is a name, too. Blank = all.
            names_only: search names and whole customer_ids alone: a caller who sees the others
                masked could guess them piece by piece.
            identifiers: read the identifiers, too; they cost more than the rest of the customers.
                Without, the rows have none, but for those of a search.
            rising: smallest customer_id first.
        """
        if not all(is_storable(text or "") for text in (after, tier, search)):
            return []
        values = {"first": bounded(first), "after": after, "tier": tier}
        kind = {"after": after is not None, "tier": tier is not None, "rising": rising}
        if not (search and folded(search)):
            if identifiers:
                return _customers(await read(self._engine, _next_customers(**kind), values))
            rows = await read(self._engine, _next_customers_alone(**kind), values)
            return [CustomerRow(*row) for row in rows]
        query = _with_identifiers(
            _next(**kind).where(self._is_searched(search, names_only=names_only)), rising=rising
        )
        return _customers(await read_in_turn(self._engine, query, values))

    async def count_customers(
        self, *, tier: str | None, search: str | None, names_only: bool, most: int
    ) -> int:
        """How many customers there are, at most `most`; the conditions are those of the list."""
        if not all(is_storable(text or "") for text in (tier, search)):
            return 0
        query = ALL_CUSTOMERS
        if tier is not None:
            query = query.where(CUSTOMERS.c.tier == tier)
        if search and folded(search):
            query = query.where(self._is_searched(search, names_only=names_only))
        return await count_up_to(self._engine, query, most)

    def _is_searched(self, search: str, *, names_only: bool) -> ColumnElement[bool]:
        ignores_case = self._engine.dialect.name == "sqlite"
        return is_searched(search, names_only=names_only, ignores_case=ignores_case)

    async def basket_history(self, basket_id: str) -> BasketHistory | None:
        """All that is known of one basket; None if nothing of it was seen."""
        if not is_storable(basket_id):
            return None
        basket = (await self.baskets_by_ids([basket_id])).get(basket_id)
        async with reading(self._engine) as connection:
            of_basket = LOOKUP_ANSWERS.c.basket_id == basket_id
            answers = await newest_answers(connection, of_basket, first=MAX_ANSWERS)
            of_basket = CUSTOMER_LOOKUP_LOGS.c.basket_id == basket_id
            attempts = await newest_attempts(connection, of_basket, first=MAX_ATTEMPTS)
            origins = await origins_of(connection, answers, first=MAX_ATTEMPTS)
        if basket is None and not answers and not attempts:
            return None
        known = None if basket is None else basket.customer_id
        return BasketHistory(
            basket_id=basket_id,
            basket=basket,
            answers=answers[::-1],
            attempts=attempts[::-1],
            origins=origins,
            customer=None if known is None else await self.customer(known),
        )


def _next(*, after: bool, tier: bool, rising: bool) -> Select[Any]:
    column = CUSTOMERS.c.customer_id
    statement = limited(ALL_CUSTOMERS.order_by(column.asc() if rising else column.desc()))
    if after:
        place: ColumnElement[str] = bindparam("after")
        statement = statement.where(column > place if rising else column < place)
    if tier:
        statement = statement.where(CUSTOMERS.c.tier == bindparam("tier"))
    return statement


def _with_identifiers(customers: Select[Any], *, rising: bool = True) -> Prepared:
    """The customers of a statement in the order of their ids, a row for each identifier."""
    found, leading = customers.subquery("found"), CUSTOMER_IDENTIFIERS.alias("leading")
    customer_id = found.c.customer_id
    return Prepared(
        select(*found.c, leading.c.identifier)
        .outerjoin_from(found, leading, leading.c.customer_id == found.c.customer_id)
        .order_by(customer_id.asc() if rising else customer_id.desc(), leading.c.identifier)
    )


@cache
def _next_customers(*, after: bool, tier: bool, rising: bool) -> Prepared:
    return _with_identifiers(_next(after=after, tier=tier, rising=rising), rising=rising)


@cache
def _next_customers_alone(*, after: bool, tier: bool, rising: bool) -> Prepared:
    return Prepared(_next(after=after, tier=tier, rising=rising))


@cache
def _customers_of(count: int) -> Prepared:
    return _with_identifiers(_of(ALL_CUSTOMERS, CUSTOMERS.c.customer_id, count))


@cache
def _by_identifier() -> Prepared:
    # Not `IN`: with it PostgreSQL takes 300 us for the query instead of 220, as it plans more.
    owner = select(_ALIASES.customer_id).where(_ALIASES.identifier == bindparam("identifier"))
    return _with_identifiers(
        ALL_CUSTOMERS.where(CUSTOMERS.c.customer_id == owner.scalar_subquery())
    )


@cache
def _baskets_of(count: int) -> Prepared:
    return Prepared(_of(select(*columns_of(BASKETS, BasketRow)), BASKETS.c.basket_id, count))


def _of(statement: Select[Any], column: Column[str], count: int) -> Select[Any]:
    """The rows whose column has one of `count` values; `_numbered` names the values."""
    ids = [bindparam(f"id_{number}", type_=column.type) for number in range(count)]
    return statement.where(column.in_(ids))


def _numbered(ids: Sequence[str]) -> dict[str, str]:
    """The ids by parameter name.

    The last id is repeated up to a power of two, so that few statements are compiled.
    """
    count = 1 << (len(ids) - 1).bit_length()
    return {f"id_{number}": ids[min(number, len(ids) - 1)] for number in range(count)}


def _customers(rows: Iterable[Sequence[Any]]) -> list[CustomerRow]:
    """The customers of the rows of `_with_identifiers`, each with its identifiers."""
    make: Callable[..., CustomerRow] = CustomerRow  # its fields are in the order of the columns
    return [
        make(
            *first,
            identifiers=tuple(
                one for one in (alias, *(row[-1] for row in more)) if one is not None
            ),
        )
        for _, ((*first, alias), *more) in groupby(rows, key=itemgetter(0))
    ]


def _asked(ids: Iterable[str]) -> list[str]:
    """Each id once, without those that no database could hold."""
    return sorted({one for one in ids if is_storable(one)})
