"""The page of one basket: why its till got this answer."""

from aiohttp import web

from agents.customer_lookup.pages.basket_view import basket_view
from agents.customer_lookup.pages.page import Page
from agents.customer_lookup.pages.wording import age
from web.console.pages import reveals_of, with_query
from web.console.part import TRIED
from web.graphql.context import MAX_TEXT, is_sound


class Basket(Page):
    """`/baskets/<basket_id>`, and `/baskets?basket=` for the search box."""

    def routes(self) -> list[web.RouteDef]:
        """The search and the page."""
        return [web.get("/baskets", self.search), web.get("/baskets/{basket_id:[^/]+}", self.page)]

    async def search(self, request: web.Request) -> web.Response:
        """Lead to the basket that was typed, or ask for one."""
        typed = request.query.get("basket", "").strip()
        if is_sound(typed):
            return web.Response(status=303, headers={"Location": self.basket_path(typed)})
        error = f"A basket's id is 1 to {MAX_TEXT} printable characters." if typed else ""
        return self.pages.render(
            request, "baskets.html", status=400 if error else 200, typed=typed, error=error
        )

    async def page(self, request: web.Request) -> web.Response:
        """The timeline; 404 with what to do if nothing of the basket was seen."""
        basket_id = self.context.references.read(request.match_info["basket_id"])
        reveals = reveals_of(request)
        read_model = self.ports.read_model
        history = await read_model.basket_history(basket_id) if is_sound(basket_id) else None
        added = await self.pages.additions(request, "basket", basket_id)
        tried = request.query.get("done") == TRIED
        return self.pages.render(
            request,
            "basket.html",
            reveals=reveals,
            # After *Try it* the answer is on its way.
            status=200 if history or added or tried else 404,
            basket_id=basket_id,
            view=None if history is None else basket_view(history, reveals),
            added=added,
            tried=tried,
            reveal=with_query(request, reveal=None if reveals.in_full else "1"),
            again=with_query(request),
            age=age,
            typed="",
            error="",
        )
