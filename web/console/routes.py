"""All pages of the console."""

from aiohttp import web

from agents.customer_lookup.metrics import LookupMetrics
from agents.customer_lookup.pages.basket import Basket
from agents.customer_lookup.pages.configuration_extra import LookupConfigurationExtra
from agents.customer_lookup.pages.customer import CustomerPage
from agents.customer_lookup.pages.customers import Customers
from agents.customer_lookup.pages.drill import DrillPage, described
from agents.customer_lookup.pages.live import LivePages
from agents.customer_lookup.pages.lookups import Lookups
from agents.customer_lookup.pages.overview import Overview
from agents.customer_lookup.pages.sampler import Sampler
from agents.customer_lookup.pages.try_it import TryIt
from web.console.assets import Assets
from web.console.configuration import configuration_routes
from web.console.dead_letters import DeadLetterPages
from web.console.links import Links
from web.console.pages import Pages
from web.graphql.context import GraphQLContext
from web.graphql.streams import OpenStreams


def console_routes(
    ports: GraphQLContext, metrics: LookupMetrics, streams: OpenStreams, sampler: Sampler
) -> list[web.RouteDef]:
    """The pages, their style and their script.

    Args:
        ports: what the pages read and change, as GraphQL does.
        metrics: what this worker counts.
        streams: what is ended when the worker stops.
        sampler: what this worker counted lately.
    """
    assets = Assets()
    pages = Pages(assets, card_guard=ports.card_guard)
    links = Links(ports.references)
    pages.share(basket_path=links.basket, customer_path=links.customer)
    pages.share(running_drill=lambda: ports.drills.running, described=described)
    return [
        *assets.routes(),
        *Overview(pages, ports, metrics, sampler, LivePages(streams)).routes(),
        *Lookups(pages, ports).routes(),
        *Basket(pages, ports).routes(),
        *TryIt(pages, ports).routes(),
        *Customers(pages, ports).routes(),
        *CustomerPage(pages, ports).routes(),
        *DeadLetterPages(pages, ports).routes(),
        *configuration_routes(
            pages, ports, {"customer_lookup": LookupConfigurationExtra(pages, ports)}
        ),
        *DrillPage(pages, ports).routes(),
    ]
