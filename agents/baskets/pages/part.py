"""What the plugin adds to the console."""

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

from aiohttp import web

from agents.baskets.pages.basket_list import PATH, BasketList
from agents.baskets.pages.till_part import TillPart
from agents.baskets.pages.wording import tone_of
from agents.baskets.till import say
from agents.baskets.timeline import money
from posstream.domain.roles import Role
from web.console.navigation import NavigationEntry
from web.console.part import ConsoleKit, ConsolePart, PageAddition, TriedStep
from web.graphql.context import GraphQLContext, Refused

#: What *Try it* buys.
_PURCHASE: Final[Sequence[tuple[str, Mapping[str, str]]]] = (
    (
        "ITEM_ADDED",
        {"product_id": "4006381333931", "product_name": "Highlighter", "unit_price": "1.99"},
    ),
    (
        "ITEM_ADDED",
        {
            "product_id": "apples",
            "product_name": "Apples, kg",
            "unit_price": "2.40",
            "quantity": "0.5",
        },
    ),
    ("PAYMENT_COMPLETED", {"amount": "3.19", "method": "CARD"}),
)


def console_part() -> ConsolePart:
    """The list of baskets, its part of the page of a basket, and what *Try it* buys."""
    return ConsolePart(
        routes=_routes,
        templates="agents.baskets.pages",
        navigation=(NavigationEntry(path=PATH, title="Baskets", role=Role.VIEWER, order=150),),
        additions=lambda kit: [
            PageAddition(page="basket", render=TillPart(kit.pages, kit.context).render)
        ],
        tried=(TriedStep(words="Then it buys two items and pays for them.", play=_buy),),
    )


def _routes(kit: ConsoleKit) -> Sequence[web.RouteDef]:
    references = kit.context.references
    kit.pages.share(
        basket_path=lambda it: f"/baskets/{quote(references.of(it), safe='')}",
        customer_path=lambda it: f"/customers/{quote(references.of_customer(it), safe='')}",
        money=money,
        tone_of=tone_of,
    )
    return BasketList(kit.pages, kit.context).routes()


async def _buy(context: GraphQLContext, basket: Mapping[str, str]) -> Refused | None:
    for event_type, fields in _PURCHASE:
        outcome = await say(context, event_type, {**basket, **fields})
        if outcome.error is not None:
            return outcome.error
    return None
