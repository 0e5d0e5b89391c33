"""The only wiring: settings in, the app of a worker out. It knows no plugin by name."""

import functools
import logging
from collections.abc import Mapping, Sequence

from posstream.configuration.configurations import Configurations
from posstream.configuration.topic import ConfigurationReader
from posstream.dead_letters.box import DeadLetterBox
from posstream.dead_letters.writer import DeadLetterWriter
from posstream.fleet.controls import Controls
from posstream.fleet.fleet import Fleet
from posstream.fleet.heart import Heart
from posstream.fleet.telling import Telling
from posstream.forgetting.forgetting import CustomerForgetting
from posstream.health import WorkerHealth
from posstream.kafka.counts import group_lag
from posstream.kafka.survey import TopicSurvey
from posstream.kafka.topics import APP_ID
from posstream.kafka.writer import TopicWriter
from posstream.metrics import Metrics
from posstream.plugin import Lifetime
from posstream.plugins.beside import Beside
from posstream.plugins.figures_collector import FiguresCollector
from posstream.plugins.found import Plugins
from posstream.plugins.groups import groups_of
from posstream.plugins.running import RunningPlugin
from posstream.plugins.supervisor import Supervisor
from posstream.plugins.workshop import Workshop
from posstream.processes.child import Spawned
from posstream.read_model.engine import create_engine
from posstream.read_model.reading import create_reading_engine
from posstream.resilience.clock import Clock
from posstream.runtime import Runtime
from posstream.settings import Settings
from posstream.startup.hosts import in_url
from posstream.streaming.credentials import credentials
from posstream.streaming.host import HostApp
from posstream.streaming.lifetimes import LifetimeService
from web.graphql.graphiql import GraphiQL
from web.plugin_parts import plugin_parts
from web.server import create_web

log = logging.getLogger(__name__)


def create_app(
    settings: Settings, *, clock: Clock | None = None, spawned: Mapping[str, Spawned] | None = None
) -> HostApp:
    """Wire one worker.

    Args:
        settings: the worker's settings.
        clock: time in this process, if not the machine's.
        spawned: the processes beside the lookups that were started before, by plugin.
    """
    clock = clock or Clock()
    here, beside = settings.plugins.here, settings.plugins.beside
    metrics = Metrics(here, beside=beside)
    host = HostApp(
        APP_ID,
        broker=settings.faust_broker,
        broker_credentials=credentials(settings.bootstrap_servers),
        datadir=settings.datadir.absolute(),
        log_format=settings.log_format,
        # Faust puts the host into URLs, also for `--web-port`.
        web_host=in_url(settings.web_host),
        web_bind=settings.web_host,
        web_port=settings.web_port,
    )
    engine = create_engine(settings.database_url)
    readers = create_reading_engine(engine)
    configurations = Configurations.of(settings, engine, clock)
    configuration_reader = ConfigurationReader(
        settings.bootstrap_servers, configurations.followers(metrics)
    )
    dead_letter_writer = DeadLetterWriter(settings.bootstrap_servers)
    writer = TopicWriter(settings.bootstrap_servers)
    workshop = Workshop(
        settings=settings,
        clock=clock,
        metrics=metrics,
        configurations=configurations,
        engine=engine,
        readers=readers,
        dead_letter_writer=dead_letter_writer,
        membership=host.membership,
    )
    running_beside = [
        Beside(
            Plugins((plugin,)),
            ports=lambda plugin: workshop.ports(plugin, writer),
            setup=lambda plugins: runtime.setup_beside(plugins),  # noqa: PLW0108 - it is made below
            metrics=metrics,
            spawned=(spawned or {}).get(plugin.name),
        )
        for plugin in beside
    ]
    supervisor = Supervisor(
        here,
        make=workshop.make,
        prepare=lambda app: runtime.prepare(app),  # noqa: PLW0108 - it is made below
        metrics=metrics,
        beside=running_beside,
        lag=lambda plugin: group_lag(
            settings.bootstrap_servers, plugin.consumer_group, plugin.consumes
        ),
    )
    metrics.held_by_transactions.set_function(
        lambda: sum(it.held_back for it in supervisor.reports().values())
    )

    def is_on(plugin: str) -> bool:
        current = configurations.current(plugin)
        return current is None or current.value.enabled

    metrics.registry.register(FiguresCollector(supervisor.reports, supervisor.figures, is_on))
    health = WorkerHealth(host, supervisor, shared=lambda: runtime.findings, is_on=is_on)
    fleet = Fleet(clock)
    metrics.workers_lost.set_function(lambda: fleet.lost)
    controls = Controls(
        lambda: {name: it.built for name, it in supervisor.running.items()},
        publish=writer.publish,
        clock=clock,
    )
    heart = Heart(
        settings.bootstrap_servers,
        fleet,
        controls,
        tell=Telling(
            worker=host.membership.claim,
            address=lambda: host.own_address,
            started_at_ms=clock.now_ms(),
            supervisor=supervisor,
            configurations=configurations,
            findings=health.findings,
        ),
        write=writer.write,
    )
    host.host(supervisor, functools.cache(lambda: _made(workshop, beside)))
    web = create_web(
        settings=settings,
        plugins=settings.plugins.loaded,
        parts=plugin_parts(settings.plugins.loaded),
        statuses=supervisor.statuses,
        clock=clock,
        health=health,
        metrics=metrics,
        configurations=configurations,
        forgetting=CustomerForgetting(
            plugins=settings.plugins, engine=engine, publish=writer.write, clock=clock
        ),
        dead_letters=DeadLetterBox(
            settings.bootstrap_servers,
            settings.plugins,
            card_guard=settings.payment_card_guard,
            engine=readers,
        ),
        fleet=fleet,
        controls=controls,
        topics=TopicSurvey(
            settings.bootstrap_servers, settings.plugins.topics, groups_of(settings.plugins)
        ),
        graphiql=GraphiQL.find(),
    )
    for name, why in web.failures.items():
        supervisor.refuse(name, why)
    runtime = Runtime(
        app=host,
        settings=settings,
        engine=engine,
        readers=readers,
        web=web.application,
        configuration_reader=configuration_reader,
        fleet=fleet,
        heart=heart,
        writers=(writer, dead_letter_writer),
        metrics=metrics,
        refuse=supervisor.refuse,
        beside=running_beside,
    )
    host.lifetimes = (
        LifetimeService(Lifetime(name="Runtime", open=runtime.open, close=runtime.close)),
        LifetimeService(Lifetime(name="Web", open=runtime.open_web, close=runtime.close_web)),
        supervisor,
    )
    return host


def _made(workshop: Workshop, plugins: Plugins) -> Sequence[RunningPlugin]:
    """The plugins of other processes, built here to be shown by `faust agents`, and not run."""
    made = []
    for plugin in plugins:
        try:
            made.append(workshop.make(plugin))
        except (Exception, SystemExit):  # a plugin may raise anything
            log.exception("plugin %s cannot be built", plugin.name)
    return made
