"""The plugin's part of the page of a basket: what was bought and paid, and each event."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from agents.baskets.basket import Status
from agents.baskets.basket_ports import basket_ports
from agents.baskets.pages.wording import TITLES
from agents.baskets.read_model.records import TillBasket
from agents.baskets.timeline import Happened, happened
from web.access.reveals import Reveals
from web.console.pages import Pages, reveals_of, with_query
from web.console.part import TRIED
from web.graphql.context import GraphQLContext, is_sound

_OF_ALL: Final = frozenset({"employee_id", "terminal_id"})


@dataclass(eq=False)
class TillPart:
    """Renders the part."""

    pages: Pages
    context: GraphQLContext

    async def render(self, request: web.Request, basket_id: str) -> str:
        """The part; empty if no till event of the basket was seen, and none is on its way."""
        baskets = basket_ports(self.context).baskets
        found = await baskets.by_ids([basket_id]) if is_sound(basket_id) else {}
        row = found.get(basket_id)
        waits = request.query.get("done") == TRIED and (row is None or row.status != Status.PAID)
        if row is None and not waits:
            return ""
        reveals = reveals_of(request)
        return self.pages.addition(
            request,
            "till_basket.html",
            reveals=reveals,
            basket=row,
            waits=waits,
            again=with_query(request),
            events=[
                (event, TITLES[event.event_type], _detail(event, row, reveals))
                for event in ([] if row is None else happened(row))
            ],
        )


def _detail(event: Happened, row: TillBasket | None, reveals: Reveals) -> Sequence[tuple[str, str]]:
    """Names and values, as the caller may see them, but for the till and the employee of all."""
    shown = {"customer_identifier": reveals.show, "customer_id": reveals.show_customer_id}
    return [
        (name.replace("_", " "), shown.get(name, str)(text))
        for name, text in event.fields.items()
        if name not in _OF_ALL or text != getattr(row, name)
    ]
