"""The list of customers: searched, filtered, page by page; its state is its URL."""

from collections.abc import Sequence
from functools import partial
from typing import Final

from aiohttp import web

from agents.customer_lookup.pages.page import Page
from agents.customer_lookup.read_model.records import CustomerRow
from posstream.domain.customer import TIERS
from posstream.domain.masking import is_personal
from posstream.domain.roles import Role
from web.access.guard import caller_of
from web.console.csv_file import Columns
from web.console.lists import (
    MOST_COUNTED,
    AskedList,
    Listed,
    Order,
    list_file,
    list_page,
    may_ask,
)
from web.console.pages import reveals_of
from web.graphql.context import MAX_TEXT, is_customer_id, is_sound

PATH: Final = "/customers"
_FIELDS: Final = ("search", "tier")
#: What a search finds is counted up to this number: it reads the customers one by one.
_MOST_FOUND: Final = 1_000
_ORDERS: Final = tuple(
    Order(
        word=word,
        title=title,
        first="First page",
        back="Previous page",
        on="Next page",
        end="These are the last.",
        rising=rising,
    )
    for word, title, rising in (
        ("id", "By id, rising", True),
        ("-id", "By id, falling", False),
    )
)
_COLUMNS: Final[Columns[CustomerRow]] = (
    ("customer_id", lambda row, reveals: reveals.show_customer_id(row.customer_id)),
    ("first_name", lambda row, _: row.first_name),
    ("last_name", lambda row, _: row.last_name),
    ("tier", lambda row, _: row.tier),
    ("loyalty_points", lambda row, _: row.loyalty_points),
    ("phone", lambda row, reveals: reveals.show(row.phone)),
    ("email", lambda row, reveals: reveals.show(row.email)),
    ("identifiers", lambda row, reveals: " ".join(map(reveals.show, row.identifiers))),
    ("total_purchases", lambda row, _: row.total_purchases),
    ("last_purchase_date", lambda row, _: row.last_purchase_date),
    ("created_at", lambda row, _: row.created_at),
    ("updated_at", lambda row, _: row.updated_at),
)


class Customers(Page):
    """`/customers` and `/customers.csv`."""

    def routes(self) -> list[web.RouteDef]:
        """The list as a page, and as a CSV file."""
        return [web.get(PATH, self.page), web.get(f"{PATH}.csv", self.csv)]

    async def page(self, request: web.Request) -> web.Response:
        """A page of customers; 400 for an invalid search, with a message at the field."""
        asked = _Asked(request)
        if not self._may_ask(request, asked, "the page customers"):
            return self.pages.too_many_lookups(request)
        reveals = reveals_of(request)
        listed = await list_page(request, PATH, asked, self._listed(request, asked), reveals)
        return self.pages.render(
            request,
            "customers.html",
            reveals=reveals,
            status=listed.status,
            listed=listed,
            tiers=[(tier, tier) for tier in asked.tiers],
        )

    async def csv(self, request: web.Request) -> web.StreamResponse:
        """The list as a file, streamed; for an invalid search the page says so."""
        asked = _Asked(request)
        if asked.is_refused:
            return await self.page(request)
        if not self._may_ask(request, asked, "the file customers.csv"):
            return self.pages.too_many_lookups(request)
        listed = self._listed(request, asked)
        return await list_file(request, asked, listed, _COLUMNS, reveals_of(request))

    def _listed(self, request: web.Request, asked: "_Asked") -> Listed[CustomerRow]:
        model, references = self.ports.read_model, self.context.references
        tier, search = asked.typed["tier"] or None, asked.typed["search"] or None
        # A caller who sees masked values could guess them piece by piece by searches.
        names_only = not caller_of(request).may(Role.SUPPORT)

        def place(reference: str) -> str | None:
            customer_id = references.read(reference)
            return customer_id if is_customer_id(customer_id) else None

        return Listed(
            read=partial(model.next_customers, tier=tier, search=search, names_only=names_only),
            count=partial(model.count_customers, tier=tier, search=search, names_only=names_only),
            cursor=lambda row: references.of_customer(row.customer_id),
            place=place,
            most_counted=MOST_COUNTED if search is None else _MOST_FOUND,
        )

    def _may_ask(self, request: web.Request, asked: "_Asked", where: str) -> bool:
        """Whether the caller may try one more identifier, if the URL has one."""
        tries = (
            bool(asked.typed["search"]) and caller_of(request).may(Role.SUPPORT),
            # The page's links hold the place sealed, so a place in plain text is a guess.
            any(is_personal(request.query.get(name, "")) for name in ("after", "before")),
        )
        return may_ask(request, self.context, where, tries)


class _Asked(AskedList):
    """The search for customers."""

    def __init__(self, request: web.Request) -> None:
        super().__init__(request, _FIELDS, _ORDERS)
        for name, text in self.typed.items():
            if text and not is_sound(text):
                self.errors[name] = f"At most {MAX_TEXT} printable characters."

    @property
    def tiers(self) -> Sequence[str]:
        """The known tiers, and an unknown one that was asked for: the directory may have it."""
        tier = self.typed["tier"]
        return TIERS if not tier or "tier" in self.errors or tier in TIERS else (*TIERS, tier)
