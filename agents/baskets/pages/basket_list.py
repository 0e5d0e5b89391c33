"""The list of baskets, newest first; its URL says what is shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from aiohttp import web
from graphql import GraphQLError

from agents.baskets.basket import Status
from agents.baskets.basket_ports import basket_ports
from agents.baskets.read_model.records import BasketFilter, Position, TillBasket
from posstream.domain.masking import is_personal
from posstream.domain.times import parse_utc
from web.access.guard import caller_of
from web.console.pages import Pages, reveals_of, with_query
from web.graphql import connections
from web.graphql.context import MAX_TEXT, GraphQLContext, is_customer_id, is_sound

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


@dataclass(frozen=True, slots=True)
class _Asked:
    """A filter as it was typed; a value that cannot be used is kept, with a message beside it."""

    typed: Mapping[str, str]
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether everything is asked for."""
        return not any(self.typed.values())

    def read(self, context: GraphQLContext) -> BasketFilter:
        """What the fields mean."""
        customer = self.typed["customer"] and context.references.read(self.typed["customer"])
        if customer and not is_customer_id(customer):
            self.errors["customer"] = f"1 to {MAX_TEXT} characters."
        wanted = BasketFilter(
            status=self._status(),
            terminal_id=self._id("terminal"),
            employee_id=self._id("employee"),
            customer_id=customer or None,
            since=self._moment("from"),
            until=self._moment("to"),
        )
        if wanted.since and wanted.until and wanted.since >= wanted.until:
            self.errors["to"] = "This is not after the start."
        return wanted

    def _status(self) -> Status | None:
        text = self.typed["status"]
        if text and text not in set(Status):
            self.errors["status"] = "Choose one of the list."
            return None
        return Status(text) if text else None

    def _id(self, name: str) -> str | None:
        text = self.typed[name]
        if text and not is_sound(text):
            self.errors[name] = f"1 to {MAX_TEXT} printable characters."
        return text or None

    def _moment(self, name: str) -> datetime | None:
        text = self.typed[name]
        moment = parse_utc(text) if text else None
        if text and moment is None:
            self.errors[name] = "Write a time like 2026-01-31 08:15, in UTC."
        return moment


def _cursor(row: TillBasket) -> str:
    return connections.place_cursor(_LISTED, row.started_at, row.basket_id)


def _place(cursor: str | None) -> Position | None:
    """The place that a cursor names; a broken one is the newest page."""
    try:
        return None if cursor is None else Position(*connections.read_place(_LISTED, cursor))
    except GraphQLError:
        return None
