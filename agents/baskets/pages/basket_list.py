"""The list of baskets; its URL says what is shown."""

from dataclasses import dataclass
from functools import partial
from typing import Final

from aiohttp import web

from agents.baskets.basket import Status
from agents.baskets.basket_ports import basket_ports
from agents.baskets.read_model.records import BasketFilter, TillBasket
from posstream.domain.masking import is_personal
from web.console.csv_file import Columns
from web.console.lists import AskedList, Listed, by_time, list_file, list_page, may_ask
from web.console.pages import Pages, reveals_of
from web.graphql.context import GraphQLContext

PATH: Final = "/till-baskets"
_FIELDS: Final = ("status", "basket", "terminal", "employee", "customer", "from", "to")
_STATUSES: Final = [(status.value, status.value.lower()) for status in Status]
_COLUMNS: Final[Columns[TillBasket]] = (
    ("started_at", lambda row, _: row.started_at),
    ("basket_id", lambda row, _: row.basket_id),
    ("status", lambda row, _: row.status),
    ("terminal_id", lambda row, _: row.terminal_id),
    ("employee_id", lambda row, _: row.employee_id),
    ("customer_id", lambda row, reveals: reveals.show_customer_id(row.customer_id or "")),
    ("customer_identifier", lambda row, reveals: reveals.show(row.customer_identifier or "")),
    ("tier", lambda row, _: row.tier),
    ("items", lambda row, _: len(row.items)),
    ("subtotal", lambda row, _: row.subtotal),
    ("discount", lambda row, _: row.discount),
    ("total", lambda row, _: row.total),
    ("paid", lambda row, _: row.paid),
    ("refunded", lambda row, _: row.refunded),
    ("currency", lambda row, _: row.currency),
    ("completed_at", lambda row, _: row.completed_at),
    ("revision", lambda row, _: row.revision),
)


@dataclass(eq=False)
class BasketList:
    """`/till-baskets` and `/till-baskets.csv`."""

    pages: Pages
    context: GraphQLContext

    def routes(self) -> list[web.RouteDef]:
        """The list as a page, and as a CSV file."""
        return [web.get(PATH, self.page), web.get(f"{PATH}.csv", self.csv)]

    async def page(self, request: web.Request) -> web.Response:
        """One page of the list; 400 for an invalid filter, with a message at the field."""
        asked = _Asked(request, self.context)
        if not self._may_ask(request, asked, "the page till_baskets"):
            return self.pages.too_many_lookups(request)
        reveals = reveals_of(request)
        listed = await list_page(request, PATH, asked, self._listed(asked.wanted), reveals)
        return self.pages.render(
            request,
            "till_baskets.html",
            reveals=reveals,
            status=listed.status,
            listed=listed,
            statuses=_STATUSES,
        )

    async def csv(self, request: web.Request) -> web.StreamResponse:
        """The filtered list as a file, streamed; for an invalid filter the page says so."""
        asked = _Asked(request, self.context)
        if asked.is_refused:
            return await self.page(request)
        if not self._may_ask(request, asked, "the file till-baskets.csv"):
            return self.pages.too_many_lookups(request)
        listed = self._listed(asked.wanted)
        return await list_file(request, asked, listed, _COLUMNS, reveals_of(request))

    def _listed(self, wanted: BasketFilter) -> Listed[TillBasket]:
        baskets = basket_ports(self.context).baskets
        return by_time(
            "tillBaskets",
            lambda row: (row.started_at, row.basket_id),
            read=partial(baskets.listed, wanted),
            count=partial(baskets.count, wanted),
        )

    def _may_ask(self, request: web.Request, asked: AskedList, where: str) -> bool:
        """Whether the caller may try one more identifier, if the filter has one."""
        return may_ask(request, self.context, where, [is_personal(asked.typed["customer"])])


class _Asked(AskedList):
    """The filter of the baskets; `wanted` is what it means."""

    def __init__(self, request: web.Request, context: GraphQLContext) -> None:
        super().__init__(request, _FIELDS)
        since, until = self.span()
        self.wanted = BasketFilter(
            status=self.word("status", Status),
            basket_id=self.id("basket"),
            terminal_id=self.id("terminal"),
            employee_id=self.id("employee"),
            customer_id=self.customer("customer", context),
            since=since,
            until=until,
        )
