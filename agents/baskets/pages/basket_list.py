"""The list of baskets, newest first; its URL says what is shown."""

from dataclasses import dataclass
from typing import Final

from aiohttp import web
from graphql import GraphQLError

from agents.baskets.basket import Status
from agents.baskets.basket_ports import basket_ports
from agents.baskets.read_model.records import BasketFilter, Position, TillBasket
from posstream.domain.masking import is_personal
from web.access.guard import caller_of
from web.console.pages import Pages, reveals_of, with_query
from web.console.typed_fields import TypedFields
from web.graphql import connections
from web.graphql.context import GraphQLContext

PATH: Final = "/till-baskets"
#: Rows of a page.
PAGE_ROWS: Final = 50
_FIELDS: Final = ("status", "terminal", "employee", "customer", "from", "to")
_STATUSES: Final = [(status.value, status.value.lower()) for status in Status]
_LISTED: Final = "tillBaskets"


@dataclass(eq=False)
class BasketList:
    """`/till-baskets`."""

    pages: Pages
    context: GraphQLContext

    def routes(self) -> list[web.RouteDef]:
        """The list."""
        return [web.get(PATH, self.page)]

    async def page(self, request: web.Request) -> web.Response:
        """One page of the list; 400 with a message at the field for a filter without sense."""
        asked = _Asked({name: request.query.get(name, "").strip() for name in _FIELDS})
        wanted = asked.read(self.context)
        if is_personal(asked.typed["customer"]) and not self.context.budget.allows_page(
            caller_of(request), "the page till_baskets"
        ):
            return self.pages.too_many_lookups(request)
        after = _place(request.query.get("after"))
        rows = (
            []
            if asked.errors
            else await basket_ports(self.context).baskets.listed(
                wanted, first=PAGE_ROWS + 1, after=after
            )
        )
        older = _cursor(rows[PAGE_ROWS - 1]) if len(rows) > PAGE_ROWS else None
        reveals = reveals_of(request)
        return self.pages.render(
            request,
            "till_baskets.html",
            reveals=reveals,
            status=400 if asked.errors else 200,
            asked=asked,
            baskets=rows[:PAGE_ROWS],
            statuses=_STATUSES,
            is_newest=after is None,
            newest=with_query(request, after=None),
            older=older and with_query(request, after=older),
        )


class _Asked(TypedFields):
    """The filter of the baskets."""

    def read(self, context: GraphQLContext) -> BasketFilter:
        """What the fields mean; what is wrong with them is in `errors` then."""
        since, until = self.span()
        return BasketFilter(
            status=self.word("status", Status),
            terminal_id=self.id("terminal"),
            employee_id=self.id("employee"),
            customer_id=self.customer("customer", context),
            since=since,
            until=until,
        )


def _cursor(row: TillBasket) -> str:
    return connections.place_cursor(_LISTED, row.started_at, row.basket_id)


def _place(cursor: str | None) -> Position | None:
    """The place that a cursor names; a broken one is the newest page."""
    try:
        return None if cursor is None else Position(*connections.read_place(_LISTED, cursor))
    except GraphQLError:
        return None
