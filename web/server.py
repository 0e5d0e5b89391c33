"""The web view's wiring: routes and middlewares in one application, and the server that runs it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from posstream.configuration.configurations import Configurations
from posstream.dead_letters.box import DeadLetterBox
from posstream.domain.errors import StartRefused
from posstream.fleet.controls import Controls
from posstream.fleet.fleet import Fleet
from posstream.forgetting.forgetting import CustomerForgetting
from posstream.kafka.survey import TopicSurvey
from posstream.metrics import Metrics
from posstream.plugin import Plugin
from posstream.plugins.status import PluginStatus
from posstream.resilience.clock import Clock
from posstream.settings import Settings
from posstream.startup.hosts import is_loopback, without_brackets
from posstream.startup.open_files import raise_open_files
from posstream.startup.port_in_use import no_port
from web.access.guard import access_required, known_host_required, same_origin_only
from web.access.guessing import Doorkeeper, LookupBudget
from web.access.login import LOGIN_PATH, Login
from web.access.references import References
from web.access.session import Sessions
from web.console.live import BEAT_SECONDS, LivePages
from web.console.routes import make_console
from web.graphql.context import GraphQLContext
from web.graphql.execution import QUERY_SECONDS, Executor
from web.graphql.graphiql import GraphiQL
from web.graphql.view import MAX_BODY_BYTES, GraphQLView
from web.http.answers import add_safe_headers, errors_as_json
from web.http.connections import ConnectionLimits, Connections
from web.http.runner import PlainRunner
from web.http.streams import MAX_STREAMS, OpenStreams
from web.plugin_parts import PluginParts
from web.programs import Health, asyncapi_routes, health_routes, metrics_routes

#: Whether the application asks for a key.
_KEYED: Final = web.AppKey("keyed", bool)
_CONNECTIONS: Final = web.AppKey("connections", Connections)


@dataclass(frozen=True, slots=True)
class Web:
    """The application, and the parts of plugins that it had to leave out."""

    application: web.Application
    #: Plugins whose part of GraphQL or of the console cannot be made, each with the reason.
    failures: Mapping[str, str]


def create_web(  # noqa: PLR0913 - the wiring names everything it gives
    *,
    settings: Settings,
    plugins: Sequence[Plugin],
    parts: PluginParts,
    statuses: Callable[[], Mapping[str, PluginStatus]],
    clock: Clock,
    health: Health,
    metrics: Metrics,
    configurations: Configurations,
    forgetting: CustomerForgetting,
    dead_letters: DeadLetterBox,
    fleet: Fleet,
    controls: Controls,
    topics: TopicSurvey,
    graphiql: GraphiQL | None = None,
    query_seconds: float = QUERY_SECONDS,
    beat_seconds: float = BEAT_SECONDS,
) -> Web:
    """The application of one worker. It opens nothing and owns none of what it is given.

    Args:
        settings: of the worker.
        plugins: those that may bring parts.
        parts: what they bring to GraphQL and to the console.
        statuses: how each plugin is now, by its name; those that could not be loaded, too.
        clock: time.
        health: what `/health/` says.
        metrics: what `/metrics` says.
        configurations: the live configuration of each plugin that has one.
        forgetting: erases customers.
        dead_letters: what could not be read.
        fleet: all workers, as this one knows them.
        controls: what is worked by hand on them.
        topics: tells what is on the topics.
        graphiql: the editor at `/graphql/`; None = a plain page.
        query_seconds: how long a query may take.
        beat_seconds: between two looks at what open pages show.

    Raises:
        StartRefused: if two plugins claim one page, or one a page of the platform.
    """
    keys = settings.access_keys
    sessions = Sessions(keys, clock)
    doorkeeper = Doorkeeper(sessions, clock, metrics)
    #: Route patterns that need no API key: probes cannot carry one.
    public = {"/health/live", "/health/ready", LOGIN_PATH}
    guard = (
        access_required(sessions, doorkeeper, public=public)
        if keys
        else known_host_required(settings.web_host)
    )
    application = web.Application(
        middlewares=[errors_as_json, guard, same_origin_only],
        client_max_size=MAX_BODY_BYTES,
    )
    application[_KEYED] = bool(keys)
    application[_CONNECTIONS] = Connections(
        metrics,
        clock,
        ConnectionLimits(
            in_all=settings.web_connections, by_address=settings.web_connections_by_address
        ),
    )
    application.on_response_prepare.append(add_safe_headers)
    # Streams give way to nobody, so they may not take every place.
    streams = OpenStreams(metrics, most=min(MAX_STREAMS, settings.web_connections // 2))
    application.on_shutdown.append(streams.end)
    live = LivePages(streams, beat_seconds=beat_seconds)
    application.cleanup_ctx.append(live.run)
    context = GraphQLContext(
        clock=clock,
        card_guard=settings.payment_card_guard,
        partitions=settings.topic_partitions,
        plugins=statuses,
        configurations=configurations,
        forgetting=forgetting,
        dead_letters=dead_letters,
        fleet=fleet,
        controls=controls,
        topics=topics,
        budget=LookupBudget(clock, metrics, per_minute=settings.lookups_per_minute),
        references=References.of_keys(keys),
    )
    view = GraphQLView(
        Executor(
            parts.schema,
            introspection=settings.graphql_introspection,
            query_seconds=query_seconds,
        ),
        context,
        streams,
        graphiql=graphiql,
        examples=parts.schema.examples,
    )
    asyncapi, undescribed = asyncapi_routes(plugins)
    programs = [
        *view.routes(),
        *health_routes(health),
        *metrics_routes(metrics.registry),
        *asyncapi,
    ]
    login = Login(sessions, doorkeeper).routes()
    console = make_console(
        plugins,
        parts.pages,
        context=context,
        settings=settings,
        metrics=metrics,
        live=live,
        findings=health.findings,
        taken=[*programs, *login],
    )
    application.middlewares.insert(0, console.error_pages)
    application.add_routes([*programs, *console.routes])
    for route in application.add_routes(console.public_routes):
        if route.resource is not None:
            public.add(route.resource.canonical)
    if keys:
        application.add_routes(login)
    return Web(application, {**undescribed, **parts.failures, **console.failures})


class WebServer:
    """One application on one port, for as long as the worker runs."""

    def __init__(
        self,
        application: web.Application,
        *,
        host: str,
        port: int,
        connections: Connections | None = None,
    ) -> None:
        """Make one.

        Args:
            application: what answers.
            host: the address or name to listen on.
            port: to listen on; 0 = any that is free.
            connections: how many there may be; None = as the application was made.
        """
        # `faust worker --web-bind` takes an address as URLs have it, too.
        self._host = without_brackets(host)
        self._port = port
        # The worker's own options (`--web-bind`) get past the check of the settings.
        self._refused = not is_loopback(host) and not application.get(_KEYED, False)
        self._connections = (
            connections or application.get(_CONNECTIONS) or Connections(Metrics(), Clock())
        )
        self._runner = PlainRunner(application, self._connections)

    @property
    def port(self) -> int:
        """The port that is listened on; after `start` also right for port 0."""
        for _, port in self.addresses:
            return port
        return self._port

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Every address and port that is listened on."""
        return [(str(address[0]), int(address[1])) for address in self._runner.addresses]

    async def start(self) -> None:
        """Listen.

        Raises:
            StartRefused: if the address cannot be listened on, or needs a key and there is none.
        """
        if self._refused:
            raise StartRefused(
                f"{self._host} is not a loopback address: set POSSTREAM_API_KEY, "
                "or bind to POSSTREAM_WEB_HOST=127.0.0.1"
            )
        await self._runner.setup()
        self._connections.start(raise_open_files())
        try:
            # A socket of IPv6 alone would not take what comes by IPv4.
            hosts = ["::", "0.0.0.0"] if self._host == "::" else [self._host]  # noqa: S104
            site = web.TCPSite(self._runner, hosts, self._port)  # type: ignore[arg-type] # as asyncio
            await site.start()
        except OSError as why:
            await self.stop()
            raise StartRefused(no_port(self._host, self._port, why)) from why

    async def stop(self) -> None:
        """Stop listening and give open requests a moment; more than once is fine."""
        self._connections.stop()
        await self._runner.cleanup()
