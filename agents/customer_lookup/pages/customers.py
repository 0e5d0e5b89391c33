"""The list of customers: searched, filtered, page by page; its state is its URL."""

from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web

from agents.customer_lookup.pages.page import Page
from posstream.domain.customer import TIERS
from posstream.domain.masking import is_personal
from posstream.domain.roles import Role
from web.access.guard import caller_of
from web.console.pages import reveals_of, with_query
from web.graphql.context import MAX_TEXT, is_customer_id, is_sound

#: Customers on a page.
PAGE_ROWS: Final = 50
_PAGE: Final = "the page customers"
_UNSOUND: Final = f"At most {MAX_TEXT} printable characters."


class Customers(Page):
    """`/customers`."""

    def routes(self) -> list[web.RouteDef]:
        """The list."""
        return [web.get("/customers", self.page)]

    async def page(self, request: web.Request) -> web.Response:
        """A page of customers by id."""
        caller = caller_of(request)
        reveals = reveals_of(request)
        asked = {name: request.query.get(name, "").strip() for name in ("search", "tier")}
        errors = {name: _UNSOUND for name, text in asked.items() if text and not is_sound(text)}
        # A caller who sees masked values could guess them piece by piece by searches.
        names_only = not caller.may(Role.SUPPORT)
        place = request.query.get("after", "")
        # The page's links hold the place sealed, so a place in plain text is a guess.
        for tries in (asked["search"] and not names_only, is_personal(place)):
            if tries and not self.context.budget.allows_page(caller, _PAGE):
                return self.pages.too_many_lookups(request)
        after = self.context.references.read(place)
        rows = (
            []
            if errors
            else await self.ports.read_model.next_customers(
                first=PAGE_ROWS + 1,
                after=after if is_customer_id(after) else None,
                tier=asked["tier"] or None,
                search=asked["search"] or None,
                names_only=names_only,
            )
        )
        shown = rows[:PAGE_ROWS]
        next_page = None
        if len(rows) > PAGE_ROWS:
            last = self.context.references.of_customer(shown[-1].customer_id)
            next_page = with_query(request, after=last)
        return self.pages.render(
            request,
            "customers.html",
            reveals=reveals,
            status=400 if errors else 200,
            asked=asked,
            errors=errors,
            tiers=[(tier, tier) for tier in _tiers(asked["tier"], errors)],
            rows=shown,
            first_page=with_query(request, after=None) if after else None,
            next_page=next_page,
            reveal=with_query(request, reveal=None if reveals.in_full else "1"),
        )


def _tiers(asked: str, errors: Mapping[str, str]) -> Sequence[str]:
    """The known tiers, and an unknown one that was asked for: the directory may have it."""
    return TIERS if not asked or "tier" in errors or asked in TIERS else (*TIERS, asked)
