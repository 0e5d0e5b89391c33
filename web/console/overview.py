"""The first page: the panels of the plugins, and the state of each plugin."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final

from aiohttp import hdrs, web

from posstream.plugins.status import PluginState, PluginUnavailable
from web.console.live import LivePages
from web.console.pages import Pages, sentence
from web.console.part import Panel
from web.graphql.context import GraphQLContext
from web.http.answers import new_reference
from web.http.reading import wants_html

logger = logging.getLogger(__name__)

#: Paths for programs, before those of the plugins.
_PATHS: Final = (
    ("/", "the operator console, for browsers"),
    ("/graphql/", "GraphQL over HTTP"),
    ("/asyncapi.json", "the topics, as an AsyncAPI 3 document"),
    ("/health/live", "whether the worker lives"),
    ("/health/ready", "whether the worker can answer"),
    ("/metrics", "what the worker counts, for Prometheus"),
)


class Overview:
    """`/` and its live updates."""

    def __init__(  # noqa: PLR0913 - the fold names everything it gives
        self,
        pages: Pages,
        context: GraphQLContext,
        live: LivePages,
        *,
        panels: Mapping[str, Sequence[Panel]],
        paths: Sequence[tuple[str, str]],
        troubles: Callable[[], Sequence[str]],
        descriptions: Mapping[str, str],
    ) -> None:
        """Make one.

        Args:
            pages: the shell's.
            context: knows how the plugins are.
            live: keeps the page up to date.
            panels: by the name of their plugin.
            paths: of the plugins, for programs.
            troubles: a sentence for each thing that is wrong on this worker.
            descriptions: what each plugin does, by its name.
        """
        self._pages = pages
        self._context = context
        self._live = live
        self._troubles = troubles
        self._descriptions = descriptions
        self._panels: list[tuple[Panel, Callable[[], Awaitable[str]]]] = [
            (panel, partial(self._of_plugin, plugin, panel.render))
            for plugin, its in panels.items()
            for panel in its
        ]
        state = Panel(name="plugins", label="Plugins", render=self._states)
        self._panels.append((state, self._states))
        self._index = "posstream\n\n" + "".join(
            f"{path:<45}{what}\n" for path, what in (*_PATHS, *paths)
        )

    def routes(self) -> list[web.RouteDef]:
        """The page, and the stream that keeps it up to date."""
        return [web.get("/", self._page), web.get("/console/live", self._follow)]

    async def _page(self, request: web.Request) -> web.Response:
        if not wants_html(request.headers.get(hdrs.ACCEPT)):
            return web.Response(text=self._index, headers={hdrs.VARY: hdrs.ACCEPT})
        shown = [(panel, await render()) for panel, render in self._panels]
        response = self._pages.render(request, "overview.html", panels=shown)
        response.headers[hdrs.VARY] = hdrs.ACCEPT
        return response

    async def _follow(self, request: web.Request) -> web.StreamResponse:
        parts = {panel.name: render for panel, render in self._panels}
        return await self._live.stream(request, parts)

    async def _of_plugin(self, plugin: str, render: Callable[[], Awaitable[str]]) -> str:
        """A panel, or why there is none: a plugin in trouble hides no other plugin's panel."""
        try:
            self._context.ports(plugin)
            return _html(await render())
        except PluginUnavailable as why:
            told = str(why)
        except Exception:
            reference = new_reference()
            logger.exception("a panel of %s failed, reference %s", plugin, reference)
            told = f"the panel of {plugin} cannot be shown, reference {reference}"
        return self._pages.part("overview_trouble.html", why=sentence(told))

    async def _states(self) -> str:
        """The state of every plugin, and what is wrong; empty while one plugin runs well."""
        found = list(self._context.plugins().values())
        troubles = list(map(sentence, self._troubles()))
        runs = all(it.state is PluginState.RUNNING for it in found)
        if len(found) < 2 and runs and not troubles:  # noqa: PLR2004
            return ""
        plugins = [(status, self._descriptions.get(status.name, "")) for status in found]
        return self._pages.part("overview_plugins.html", plugins=plugins, troubles=troubles)


def _html(made: object) -> str:
    if not isinstance(made, str):
        raise TypeError(f"a panel must be HTML, and not {type(made).__name__}")
    return made
