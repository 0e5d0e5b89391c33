"""Folds the console: the platform's own pages and those of the plugins."""

import asyncio
import functools
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from aiohttp import web

from posstream.domain.errors import StartRefused
from posstream.domain.roles import Caller
from posstream.findings import LOOKED_AT, Finding
from posstream.metrics import Metrics
from posstream.plugin import Plugin
from posstream.plugins.status import PluginUnavailable
from posstream.settings import Settings
from web.access.guard import has_caller
from web.console.assets import Assets
from web.console.configuration import configuration_routes
from web.console.configuration_extra import ConfigurationExtra
from web.console.contained import contained
from web.console.dead_letters import DeadLetterPages
from web.console.error_pages import error_pages
from web.console.fleet import FleetPages
from web.console.live import LivePages
from web.console.navigation import PLATFORM_ENTRIES, NavigationEntry
from web.console.overview import Overview
from web.console.pages import Pages, Shell
from web.console.part import ConsoleKit, ConsolePart, PageAddition, Panel, TriedStep
from web.console.topics import TopicPages
from web.folding import Claims, not_made
from web.graphql.context import GraphQLContext
from web.http.answers import REFUSALS, error_answer, new_reference

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Console:
    """The pages of a worker, with what plugins bring."""

    #: Shows browsers errors as pages.
    error_pages: "Middleware"
    routes: list[web.RouteDef] = field(default_factory=list)
    #: Those that need no key.
    public_routes: list[web.RouteDef] = field(default_factory=list)
    navigation: list[NavigationEntry] = field(default_factory=lambda: [*PLATFORM_ENTRIES])
    panels: dict[str, Sequence[Panel]] = field(default_factory=dict)
    banners: dict[str, Callable[[Caller], str]] = field(default_factory=dict)
    #: By page, each with the name of its plugin.
    additions: dict[str, list[tuple[str, PageAddition]]] = field(default_factory=dict)
    tried: list[TriedStep] = field(default_factory=list)
    paths: list[tuple[str, str]] = field(default_factory=list)
    configurations: dict[str, ConfigurationExtra] = field(default_factory=dict)
    #: Plugins whose pages cannot be made, each with the reason.
    failures: dict[str, str] = field(default_factory=dict)
    claims: Claims = field(default_factory=Claims)


def make_console(  # noqa: PLR0913 - the wiring names everything it gives
    plugins: Sequence[Plugin],
    parts: Mapping[str, ConsolePart],
    *,
    context: GraphQLContext,
    settings: Settings,
    metrics: Metrics,
    live: LivePages,
    findings: Callable[[], Sequence[Finding]],
    taken: Iterable[web.RouteDef],
) -> Console:
    """The pages, their style and their script.

    Args:
        plugins: all that were found.
        parts: what they add, by the name of the plugin.
        context: what the pages read and change, as GraphQL does.
        settings: of the worker.
        metrics: what this worker counts.
        live: keeps pages up to date.
        findings: what is wrong on this worker, worst first.
        taken: paths that the web view answers beside the console; no plugin may claim them.

    Raises:
        StartRefused: if two plugins claim one path, or one a path of the platform.
    """
    assets = Assets()

    async def additions(request: web.Request, page: str, about: str) -> Sequence[str]:
        making = [
            (name, functools.partial(it.render, request, about))
            for name, it in folded.additions.get(page, ())
        ]
        return await asyncio.gather(
            *(contained(pages, context, name, "part", make) for name, make in making)
        )

    shell = Shell(
        navigation=lambda caller: [it for it in folded.navigation if caller.may(it.role)],
        banners=lambda caller: _banners(folded.banners, caller),
        assets=assets,
        card_guard=context.card_guard,
        additions=additions,
        tried=lambda: folded.tried,
    )
    pages = Pages(shell)
    folded = Console(error_pages(pages))
    by_name = {plugin.name: plugin for plugin in plugins}
    for name, part in parts.items():
        try:
            kit = ConsoleKit(
                pages=Pages(shell, part.templates),
                context=context,
                settings=settings,
                metrics=metrics.of(by_name[name]),
                live=live,
            )
            _add(folded, name, part, kit)
        except StartRefused:
            raise
        except (Exception, SystemExit) as why:  # noqa: BLE001 - a plugin's own code
            folded.failures[name] = not_made(name, "pages", why)
    own = [
        *DeadLetterPages(pages, context).routes(),
        *FleetPages(pages, context, live).routes(),
        *TopicPages(pages, context).routes(),
        *configuration_routes(pages, context, folded.configurations),
    ]
    folded.navigation.sort(key=lambda entry: entry.order)
    overview = Overview(
        pages=pages,
        context=context,
        live=live,
        panels=folded.panels,
        paths=folded.paths,
        findings=findings,
        looked_at=[*LOOKED_AT, *chain.from_iterable(plugin.looks_at for plugin in plugins)],
        descriptions={plugin.name: plugin.description for plugin in plugins},
    )
    ours = [*assets.routes(), *overview.routes()]
    folded.claims.take("posstream", map(_named, [*ours, *own, *taken]))
    folded.routes = [*ours, *own, *folded.routes]
    return folded


def _add(folded: Console, name: str, part: ConsolePart, kit: ConsoleKit) -> None:
    """Take a part whole, or raise and take none of it."""
    routes = part.routes(kit)
    public_routes = part.public_routes(kit) if part.public_routes else ()
    panels = part.panels(kit) if part.panels else ()
    banner = part.banner(kit) if part.banner else None
    additions = part.additions(kit) if part.additions else ()
    configuration = part.configuration(kit) if part.configuration else None
    folded.claims.take(name, map(_named, [*routes, *public_routes]))
    folded.claims.take(name, (f"the panel {panel.name} of the overview" for panel in panels))
    folded.routes += [_answering(_caught(it, name), kit.context, name) for it in routes]
    folded.public_routes += [_caught(it, name) for it in public_routes]
    folded.navigation += part.navigation
    folded.panels[name] = panels
    folded.paths += part.paths
    folded.tried += part.tried
    for it in additions:
        folded.additions.setdefault(it.page, []).append((name, it))
    if configuration is not None:
        folded.configurations[name] = configuration
    if banner is not None:
        folded.banners[name] = banner


def _named(route: web.RouteDef) -> str:
    return f"the page {route.method} {route.path}"


def _banners(banners: Mapping[str, Callable[[Caller], str]], caller: Caller) -> list[str]:
    told = []
    for name, banner in banners.items():
        try:
            told.append(banner(caller))
        except PluginUnavailable:
            continue
        except (Exception, SystemExit):  # it stands on the pages of all others
            logger.exception("the banner of %s cannot be made", name)
    return told


def _answering(route: web.RouteDef, context: GraphQLContext, plugin: str) -> web.RouteDef:
    """A route that is answered only while its plugin runs."""
    handler: Handler = route.handler

    @functools.wraps(handler)
    async def answer(request: web.Request) -> web.StreamResponse:
        context.ports(plugin)
        return await handler(request)

    return web.RouteDef(route.method, route.path, answer, route.kwargs)


def _caught(route: web.RouteDef, plugin: str) -> web.RouteDef:
    """A route that says that its plugin's code failed: 500."""
    handler: Handler = route.handler

    @functools.wraps(handler)
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return _response(await handler(request))
        except (web.HTTPException, web.RequestPayloadError, *REFUSALS):
            raise  # answered as on every page
        except (Exception, SystemExit) as why:
            if isinstance(why, ConnectionError) and request.transport is None:
                raise  # the client has gone
            reference = new_reference()
            logger.exception(
                "%s of the plugin %s failed, reference %s", _named(route), plugin, reference
            )
            # A caller without a key learns only that it failed.
            told = f"the plugin {plugin} failed" if has_caller(request) else "Internal error"
            return error_answer(500, "INTERNAL", told, reference=reference)

    return web.RouteDef(route.method, route.path, answer, route.kwargs)


def _response(made: object) -> web.StreamResponse:
    if not isinstance(made, web.StreamResponse):
        raise TypeError(f"a page must give a response, and not {type(made).__name__}")
    return made
