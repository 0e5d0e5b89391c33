"""The toy's page of the console."""

from collections.abc import Sequence

from aiohttp import web

from posstream.domain.roles import Role
from web.console.navigation import NavigationEntry
from web.console.part import ConsoleKit, ConsolePart

from .graphql import visits_of

_SHOWN = 20


def console_part() -> ConsolePart:
    """The toy's part of the console."""
    return ConsolePart(
        routes=_routes,
        templates=__package__,
        navigation=(NavigationEntry(path="/visits", title="Visits", role=Role.VIEWER, order=250),),
    )


def _routes(kit: ConsoleKit) -> Sequence[web.RouteDef]:
    async def show(request: web.Request) -> web.StreamResponse:
        rows = await visits_of(kit.context).newest(_SHOWN)
        return kit.pages.render(request, "visits.html", rows=rows)

    return [web.get("/visits", show)]
