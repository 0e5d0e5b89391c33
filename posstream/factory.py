"""The only wiring: settings in, the app of a worker out. It knows no plugin by name."""

import logging
from typing import Any

from posstream.configuration.configurations import Configurations
from posstream.configuration.topic import ConfigurationReader
from posstream.dead_letters.box import DeadLetterBox
from posstream.dead_letters.setting_aside import DeadLetters
from posstream.dead_letters.writer import DeadLetterWriter
from posstream.forgetting.forgetting import CustomerForgetting
from posstream.health import WorkerHealth
from posstream.kafka.counts import group_lag
from posstream.kafka.topics import APP_ID
from posstream.kafka.writer import TopicWriter
from posstream.metrics import Metrics
from posstream.plugin import Kit, Lifetime, Plugin
from posstream.plugins.event_failures import EventFailures
from posstream.plugins.running import PluginWatch, RunningPlugin
from posstream.plugins.supervisor import Supervisor
from posstream.read_model.engine import create_engine
from posstream.read_model.reading import create_reading_engine
from posstream.resilience.clock import Clock
from posstream.runtime import Runtime
from posstream.settings import Settings, in_url
from posstream.streaming.app import StreamingApp
from posstream.streaming.host import HostApp
from posstream.streaming.lifetimes import OPEN_SECONDS, LifetimeService
from posstream.streaming.precedence import Precedence
from posstream.streaming.publisher import FaustPublisher
from posstream.streaming.stall import LOOK_SECONDS
from web.graphql.graphiql import GraphiQL
from web.plugin_parts import plugin_parts
from web.server import create_web

log = logging.getLogger(__name__)


def create_app(settings: Settings, *, clock: Clock | None = None, **options: Any) -> HostApp:
    """Wire one worker.

    Args:
        settings: the worker's settings.
        clock: time, if not the machine's.
        options: more options for the plugins' `faust.App`.
    """
    clock = clock or Clock()
    metrics = Metrics(settings.plugins)
    host = HostApp(
        APP_ID,
        broker=settings.faust_broker,
        datadir=settings.datadir.absolute(),
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

    precedence = Precedence()

    def make(plugin: Plugin) -> RunningPlugin:
        app = StreamingApp(
            plugin.consumer_group,
            broker=settings.faust_broker,
            datadir=settings.datadir.absolute(),
            partitions=settings.topic_partitions,
            topic_replication_factor=settings.topic_replication,
            membership=host.membership,
            **options,
        )
        app.precedence, app.goes_first = precedence, plugin.is_default
        dead_letters = DeadLetters(
            topic=plugin.dead_letters or "",  # without one it consumes nothing
            publish=dead_letter_writer.write,
            clock=clock,
            metrics=metrics,
            per_minute=settings.dead_letters_per_minute,
        )
        app.failures = EventFailures(app, dead_letters, clock)
        built = plugin.build(
            Kit(
                plugin=plugin,
                app=app,
                settings=settings,
                own_settings=settings.own(plugin),
                datadir=settings.datadir,
                clock=clock,
                metrics=metrics.of(plugin),
                publisher=FaustPublisher(app),
                dead_letters=dead_letters,
                configuration=configurations.current(plugin.name),
                engine=engine,
                readers=readers,
            )
        )
        if undeclared := app.consumed.difference(plugin.consumes):
            raise ValueError(f"it reads {', '.join(sorted(undeclared))}, not in its `consumes`")
        app.lifetimes = [
            LifetimeService(
                it, open_seconds=OPEN_SECONDS, close_seconds=lambda: app.tuning.drain_seconds
            )
            for it in built.lifetimes
        ]
        watch = PluginWatch(
            app, plugin, dead_letters, clock=clock, partitions=settings.topic_partitions
        )
        app.timer(LOOK_SECONDS, name="plugin watch")(watch.look)
        return RunningPlugin(app, built, watch)

    supervisor = Supervisor(
        settings.plugins,
        make=make,
        prepare=lambda app: runtime.prepare(app),  # noqa: PLW0108 - it is made below
        metrics=metrics,
        lag=lambda plugin: group_lag(
            settings.bootstrap_servers, plugin.consumer_group, plugin.consumes
        ),
    )
    metrics.held_by_transactions.set_function(
        lambda: sum(it.watch.held_back for it in supervisor.running.values())
    )
    host.host(supervisor)
    web = create_web(
        settings=settings,
        plugins=settings.plugins.loaded,
        parts=plugin_parts(settings.plugins.loaded),
        statuses=supervisor.statuses,
        clock=clock,
        health=WorkerHealth(host, supervisor, warnings=lambda: runtime.warnings),
        metrics=metrics,
        configurations=configurations,
        forgetting=CustomerForgetting(
            plugins=settings.plugins, engine=engine, publish=writer.write, clock=clock
        ),
        dead_letters=DeadLetterBox(settings.bootstrap_servers, settings.plugins),
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
        writers=(writer, dead_letter_writer),
        metrics=metrics,
        refuse=supervisor.refuse,
    )
    host.lifetimes = (
        LifetimeService(Lifetime(name="Runtime", open=runtime.open, close=runtime.close)),
        LifetimeService(Lifetime(name="Web", open=runtime.open_web, close=runtime.close_web)),
        supervisor,
    )
    return host
