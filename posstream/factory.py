"""The only wiring: settings in, a Faust app out."""

from typing import Any

from agents.customer_lookup import CustomerLookupAgent
from agents.projection import ProjectionAgent
from posstream.adapters.directory_http import HttpDirectory
from posstream.adapters.publisher import FaustPublisher
from posstream.adapters.sql.engine import create_engine, read_only
from posstream.adapters.sql.projection import SqlProjection
from posstream.adapters.sql.read_model import SqlReadModel
from posstream.configuration import CurrentConfiguration, PluginConfiguration
from posstream.directory_call import DirectoryCall
from posstream.lookup import CustomerLookup
from posstream.resilience.clock import Clock, SystemClock
from posstream.runtime import Runtime
from posstream.settings import Settings
from posstream.streaming.app import LifetimeService, StreamingApp
from posstream.topics import APP_ID
from posstream.worker_health import WorkerHealth
from tables.customer_cache import CustomerCacheTable
from web.server import create_web


def create_app(settings: Settings, *, clock: Clock | None = None, **options: Any) -> StreamingApp:
    """Wire one worker.

    Args:
        settings: the worker's settings.
        clock: time, if not the machine's.
        options: more options for `faust.App`.
    """
    clock = clock or SystemClock()
    app = StreamingApp(
        APP_ID,
        broker=settings.faust_broker,
        datadir=settings.datadir.absolute() / "tables",
        partitions=settings.topic_partitions,
        topic_replication_factor=settings.topic_replication,
        web_host=settings.web_host,
        web_bind=settings.web_host,
        web_port=settings.web_port,
        **options,
    )
    configuration = CurrentConfiguration(PluginConfiguration(api_endpoint=settings.api_endpoint))
    publisher = FaustPublisher(app)
    directory = HttpDirectory(clock=clock, card_guard=settings.payment_card_guard)
    engine = create_engine(settings.database_url)
    lookup = CustomerLookup(
        call=DirectoryCall(directory),
        configuration=configuration,
        publisher=publisher,
        clock=clock,
    )
    CustomerLookupAgent(
        app,
        lookup=lookup,
        cache=CustomerCacheTable(app, partitions=settings.topic_partitions),
        publisher=publisher,
        clock=clock,
        partitions=settings.topic_partitions,
        card_guard=settings.payment_card_guard,
    )
    ProjectionAgent(app, projection=SqlProjection(engine))
    web = create_web(
        settings=settings,
        read_model=SqlReadModel(read_only(engine)),
        publisher=publisher,
        clock=clock,
        health=WorkerHealth(app),
    )
    runtime = Runtime(
        app=app,
        settings=settings,
        directory=directory,
        engine=engine,
        lookup=lookup,
        web=web,
        deadline_seconds=configuration.value.deadline_seconds,
    )
    app.lifetimes = (
        LifetimeService("Runtime", runtime.open, runtime.close),
        LifetimeService("Web", runtime.open_web, runtime.close_web),
    )
    return app
