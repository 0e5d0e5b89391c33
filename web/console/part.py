"""How a plugin declares its pages of the console."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from aiohttp import web

from posstream.domain.roles import Caller
from posstream.metrics import PluginMetrics
from posstream.settings import Settings
from web.console.configuration_extra import ConfigurationExtra
from web.console.live import LivePages
from web.console.navigation import NavigationEntry
from web.console.pages import Pages
from web.graphql.context import GraphQLContext, Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleKit:
    """What the web view hands to a plugin's part."""

    #: Renders the plugin's templates in the shell of the console.
    pages: Pages
    #: The platform's ports, and those of the plugin itself: `context.ports(NAME)`. They come and go
    #: with the plugin, so they are asked for at each request.
    context: GraphQLContext
    settings: Settings
    #: Its own, by their declared name.
    metrics: PluginMetrics
    live: LivePages


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A part of the overview that is kept up to date while the page is open."""

    #: Of its element; no other panel has it.
    name: str
    #: Its name for screen readers.
    label: str
    #: Makes its HTML; takes the range that the reader chose (`ranges.RANGES`). It is the same for
    #: every caller, so it may show no identifier.
    render: Callable[[timedelta], Awaitable[str]]
    #: Whether it may be wider than a small screen.
    scrolls: bool = False


#: `?done=` of the page of a basket, to which *Try it* leads.
TRIED: Final = "tried"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageAddition:
    """A part of a page that another plugin owns."""

    #: The page, by the name under which its owner asks for additions: `Pages.additions`.
    page: str
    #: Makes its HTML, for a request and what the page is about, such as a basket; empty = none.
    render: Callable[[web.Request, str], Awaitable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedStep:
    """What a plugin plays in the basket of *Try it*, once its customer was scanned."""

    #: What it does, as a sentence for people.
    words: str
    #: Plays it: takes the context of the caller, and `basket_id`, `terminal_id` and `employee_id`.
    #: Gives why not, if it was refused.
    play: Callable[[GraphQLContext, Mapping[str, str]], Awaitable[Refused | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsolePart:
    """What a plugin adds to the console."""

    #: Makes the routes of its pages. They need a key, and answer 503 unless the plugin runs.
    routes: Callable[[ConsoleKit], Sequence[web.RouteDef]]
    #: The package whose folder `templates` has its templates; None = it has none.
    templates: str | None = None
    navigation: tuple[NavigationEntry, ...] = ()
    #: Makes routes that need no key, and answer whether the plugin runs or not.
    public_routes: Callable[[ConsoleKit], Sequence[web.RouteDef]] | None = None
    #: Makes its panels of the overview.
    panels: Callable[[ConsoleKit], Sequence[Panel]] | None = None
    #: Makes a function that returns the HTML above every page for a caller; empty = no banner now.
    banner: Callable[[ConsoleKit], Callable[[Caller], str]] | None = None
    #: Makes what it adds to the page of its live configuration.
    configuration: Callable[[ConsoleKit], ConfigurationExtra] | None = None
    #: Makes what it adds to pages of other plugins.
    additions: Callable[[ConsoleKit], Sequence[PageAddition]] | None = None
    tried: tuple[TriedStep, ...] = ()
    #: Paths that are not for browsers, with what is there: `GET /` lists them for programs.
    paths: tuple[tuple[str, str], ...] = ()
