"""What the plugin adds to the console, and the mock directory."""

from collections.abc import Callable
from typing import Final

from aiohttp import web

from agents.customer_lookup.directory.mock import MockDirectory, points_at_mock
from agents.customer_lookup.lookup_ports import live_configuration, lookup_ports
from agents.customer_lookup.pages.attempts import Attempts
from agents.customer_lookup.pages.basket import Basket
from agents.customer_lookup.pages.configuration_extra import LookupConfigurationExtra
from agents.customer_lookup.pages.customer import CustomerPage
from agents.customer_lookup.pages.customers import Customers
from agents.customer_lookup.pages.drill import DrillPage, described
from agents.customer_lookup.pages.lookups import Lookups
from agents.customer_lookup.pages.overview import OverviewPanels
from agents.customer_lookup.pages.page import Page
from agents.customer_lookup.pages.try_it import TryIt
from agents.customer_lookup.settings import MOCK_PATH, LookupSettings
from posstream.domain.roles import Caller, Role
from web.console.navigation import NavigationEntry
from web.console.part import ConsoleKit, ConsolePart

_NAVIGATION: Final = (
    NavigationEntry(path="/lookups", title="Lookups", role=Role.VIEWER, order=100),
    NavigationEntry(path="/attempts", title="Attempts", role=Role.VIEWER, order=110),
    NavigationEntry(path="/customers", title="Customers", role=Role.VIEWER, order=200),
    NavigationEntry(
        path="/try", title="Try it", role=Role.SUPPORT, order=500, needs_database=False
    ),
    NavigationEntry(
        path="/drill", title="Outage drill", role=Role.OPERATOR, order=600, needs_database=False
    ),
)


def console_part() -> ConsolePart:
    """Its pages, its panels of the overview, the banner of a drill, and the mock directory."""
    return ConsolePart(
        routes=_routes,
        templates="agents.customer_lookup.pages",
        navigation=_NAVIGATION,
        public_routes=_mock_directory,
        panels=lambda kit: OverviewPanels(kit).panels(),
        banner=_drill_banner,
        configuration=lambda kit: LookupConfigurationExtra(kit.pages, kit.context),
        paths=((f"{MOCK_PATH}<identifier>/", "the mock customer directory"),),
    )


def _routes(kit: ConsoleKit) -> list[web.RouteDef]:
    links = Page(kit.pages, kit.context)
    kit.pages.share(
        basket_path=links.basket_path, customer_path=links.customer_path, described=described
    )
    pages = (Lookups, Attempts, Basket, TryIt, Customers, CustomerPage, DrillPage)
    return [route for page in pages for route in page(kit.pages, kit.context).routes()]


def _drill_banner(kit: ConsoleKit) -> Callable[[Caller], str]:
    def banner(caller: Caller) -> str:
        drill = lookup_ports(kit.context).drills.running
        if drill is None:
            return ""
        may_stop = caller.may(Role.OPERATOR)
        return kit.pages.part("drill_banner.html", drill=drill, may_stop=may_stop)

    return banner


def _mock_directory(kit: ConsoleKit) -> list[web.RouteDef]:
    """The mock directory. Workers call it as they call any directory: without a key."""
    own = LookupSettings.of(kit.settings)

    def is_on() -> bool:
        if own.mock_directory is not None:
            return own.mock_directory
        endpoint = live_configuration(kit.context).current.value.api_endpoint
        return points_at_mock(endpoint, kit.settings.web_port)

    return MockDirectory(is_on=is_on, card_guard=kit.context.card_guard).routes()
