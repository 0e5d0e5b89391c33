"""The first page: the verdict, the panels of the plugins, and the state of each plugin."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Final

from aiohttp import hdrs, web

from posstream.findings import Finding
from posstream.plugins.status import PluginState
from web.console.contained import contained
from web.console.live import LivePages
from web.console.pages import Pages, sentence
from web.console.part import Panel
from web.console.ranges import RANGES, range_of
from web.graphql.context import GraphQLContext
from web.http.reading import wants_html

#: Paths for programs, before those of the plugins.
_PATHS: Final = (
    ("/", "the operator console, for browsers"),
    ("/graphql/", "GraphQL over HTTP"),
    ("/asyncapi.json", "the topics, as an AsyncAPI 3 document"),
    ("/health/live", "whether the worker lives"),
    ("/health/ready", "whether the worker can answer"),
    ("/metrics", "what the worker counts, for Prometheus"),
)


@dataclass(eq=False, kw_only=True)
class Overview:
    """`/` and its live updates."""

    #: The shell's.
    pages: Pages
    #: Knows how the plugins are.
    context: GraphQLContext
    #: Keeps the page up to date.
    live: LivePages
    #: By the name of their plugin.
    panels: Mapping[str, Sequence[Panel]]
    #: Of the plugins, for programs.
    paths: Sequence[tuple[str, str]]
    #: What is wrong on this worker, worst first.
    findings: Callable[[], Sequence[Finding]]
    #: What the findings are about, in words.
    looked_at: Sequence[str]
    #: What each plugin does, by its name.
    descriptions: Mapping[str, str]

    def __post_init__(self) -> None:
        self._panels: list[Panel] = [
            Panel(name="verdict", label="Verdict", render=self._verdict),
            *(
                replace(panel, render=partial(self._of_plugin, plugin, panel.render))
                for plugin, its in self.panels.items()
                for panel in its
            ),
            Panel(name="plugins", label="Plugins", render=self._states),
        ]
        self._index = "posstream\n\n" + "".join(
            f"{path:<45}{what}\n" for path, what in (*_PATHS, *self.paths)
        )

    def routes(self) -> list[web.RouteDef]:
        """The page, and the stream that keeps it up to date."""
        return [web.get("/", self._page), web.get("/console/live", self._follow)]

    async def _page(self, request: web.Request) -> web.Response:
        if not wants_html(request.headers.get(hdrs.ACCEPT)):
            return web.Response(text=self._index, headers={hdrs.VARY: hdrs.ACCEPT})
        chosen = range_of(request.query)
        made = await asyncio.gather(*(it.render(RANGES[chosen]) for it in self._panels))
        shown = list(zip(self._panels, made, strict=True))
        response = self.pages.render(request, "overview.html", panels=shown, chosen=chosen)
        response.headers[hdrs.VARY] = hdrs.ACCEPT
        return response

    async def _follow(self, request: web.Request) -> web.StreamResponse:
        span = RANGES[range_of(request.query)]
        parts = {it.name: partial(it.render, span) for it in self._panels}
        return await self.live.stream(request, parts)

    async def _of_plugin(
        self, plugin: str, render: Callable[[timedelta], Awaitable[str]], span: timedelta
    ) -> str:
        return await contained(self.pages, self.context, plugin, "panel", partial(render, span))

    async def _states(self, _: timedelta) -> str:
        """The state of every plugin; empty while one plugin runs well."""
        found = list(self.context.plugins().values())
        runs = all(it.state is PluginState.RUNNING for it in found)
        if len(found) < 2 and runs:  # noqa: PLR2004
            return ""
        plugins = [(status, self.descriptions.get(status.name, "")) for status in found]
        return self.pages.part("overview_plugins.html", plugins=plugins)

    async def _verdict(self, _: timedelta) -> str:
        """What is wrong on this worker and what to do next; else that all is well."""
        findings = self.findings()
        return self.pages.part(
            "overview_verdict.html",
            findings=findings,
            worst=findings[0].severity if findings else None,
            looked_at=self.looked_at,
            as_sentence=sentence,
        )
