"""All pages of the console."""

from aiohttp import web

from posstream.metrics import Metrics
from web.console.assets import Assets
from web.console.pages import Pages
from web.graphql.context import GraphQLContext


def console_routes(ports: GraphQLContext, metrics: Metrics) -> list[web.RouteDef]:
    """The pages, their style and their script.

    Args:
        ports: what the pages read and change, as GraphQL does.
        metrics: what this worker counts.
    """
    assets = Assets()
    pages = Pages(assets)
    del pages, ports, metrics
    return [*assets.routes()]
