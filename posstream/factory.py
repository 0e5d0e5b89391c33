"""The only wiring: settings in, a Faust app out."""

from collections.abc import AsyncIterator
from typing import Any

from aiohttp.web import Application

from agents.customer_lookup.agent import CustomerLookupAgent
from agents.customer_lookup.answer_feed import AnswerFeed
from agents.customer_lookup.answer_topics import AnswerReader
from agents.customer_lookup.cache_maintenance import CacheMaintenanceAgent
from agents.customer_lookup.configuration import PLUGIN, PluginConfiguration
from agents.customer_lookup.customer_updates import CustomerUpdatesAgent
from agents.customer_lookup.directory.call import DirectoryCall
from agents.customer_lookup.directory.http import HttpDirectory
from agents.customer_lookup.directory.trial import DirectoryTrial
from agents.customer_lookup.drills.drilled_directory import DrilledDirectory
from agents.customer_lookup.drills.outage_drill import OutageDrills
from agents.customer_lookup.lookup import CustomerLookup
from agents.customer_lookup.read_model.queries import SqlReadModel
from agents.customer_lookup.topics import CONSUMED, CUSTOMER_IDENTIFIED, DEAD_LETTERS, REKEYED
from posstream.configuration.current import CurrentConfiguration
from posstream.configuration.editing import LiveConfiguration
from posstream.configuration.follower import ConfigurationFollower
from posstream.configuration.store import SqlConfigurationStore
from posstream.configuration.topic import ConfigurationReader, KafkaConfigurationTopic
from posstream.dead_letters.box import DeadLetterBox
from posstream.dead_letters.setting_aside import DeadLetters
from posstream.dead_letters.writer import DeadLetterWriter
from posstream.forgetting.forgetting import CustomerForgetting
from posstream.health import STALLED_SECONDS, WorkerHealth
from posstream.kafka.topics import APP_ID
from posstream.metrics import Metrics
from posstream.plugins.discovery import find_plugins
from posstream.read_model.engine import create_engine
from posstream.read_model.reading import create_reading_engine
from posstream.resilience.clock import Clock, SystemClock
from posstream.runtime import Runtime
from posstream.settings import Settings, in_url
from posstream.streaming.app import LifetimeService, StreamingApp
from posstream.streaming.publisher import FaustPublisher
from posstream.streaming.stall import LOOK_SECONDS, StallWatch
from posstream.streaming.transactions import TransactionWatch
from tables.cache_sweep import INTERVAL_SECONDS, CacheSweeper
from tables.customer_cache import CustomerCacheTable
from web.graphql.graphiql import GraphiQL
from web.server import create_web


def create_app(settings: Settings, *, clock: Clock | None = None, **options: Any) -> StreamingApp:
    """Wire one worker.

    Args:
        settings: the worker's settings.
        clock: time, if not the machine's.
        options: more options for `faust.App`.
    """
    clock = clock or SystemClock()
    plugins = find_plugins()
    metrics = Metrics()
    app = StreamingApp(
        APP_ID,
        broker=settings.faust_broker,
        datadir=settings.datadir.absolute(),
        partitions=settings.topic_partitions,
        topic_replication_factor=settings.topic_replication,
        # Faust puts the host into URLs, also for `--web-port`.
        web_host=in_url(settings.web_host),
        web_bind=settings.web_host,
        web_port=settings.web_port,
        **options,
    )
    configuration = CurrentConfiguration(PluginConfiguration(api_endpoint=settings.api_endpoint))

    def country_code() -> str | None:
        code: str | None = configuration.value.default_country_code
        return code

    publisher = FaustPublisher(app)
    directory = HttpDirectory.of(settings, clock=clock)
    engine = create_engine(settings.database_url)
    configuration.watch(lambda value: metrics.configuration_version.set(value.version))
    store = SqlConfigurationStore(engine, PLUGIN)
    topic = KafkaConfigurationTopic(settings.bootstrap_servers)
    live = LiveConfiguration(current=configuration, store=store, topic=topic, clock=clock)
    follower = ConfigurationFollower(live=live, store=store, topic=topic, metrics=metrics)
    drills = OutageDrills(publish=publisher.publish, clock=clock, metrics=metrics)
    drilled = DrilledDirectory(directory, running=lambda: drills.running, clock=clock)
    call = DirectoryCall(drilled, clock=clock, metrics=metrics)
    configuration.watch(call.follow)
    lookup = CustomerLookup(
        call=call,
        configuration=configuration,
        publisher=publisher,
        clock=clock,
        metrics=metrics,
        refresh_ahead=settings.refresh_ahead,
    )
    cache = CustomerCacheTable(app, partitions=settings.topic_partitions)
    dead_letter_writer = DeadLetterWriter(settings.bootstrap_servers)
    dead_letters = DeadLetters(
        topic=DEAD_LETTERS,
        publish=dead_letter_writer.write,
        clock=clock,
        metrics=metrics,
        per_minute=settings.dead_letters_per_minute,
    )
    agent = CustomerLookupAgent(
        app,
        lookup=lookup,
        cache=cache,
        publisher=publisher,
        clock=clock,
        metrics=metrics,
        partitions=settings.topic_partitions,
        card_guard=settings.payment_card_guard,
        dead_letters=dead_letters,
    )
    CacheMaintenanceAgent(
        app,
        cache=cache,
        lookup=lookup,
        publisher=publisher,
        clock=clock,
        metrics=metrics,
        dead_letters=dead_letters,
    )
    sweeper = CacheSweeper(cache, configuration=configuration, clock=clock, metrics=metrics)
    app.timer(INTERVAL_SECONDS, name="cache sweep")(sweeper.sweep)
    CustomerUpdatesAgent(
        app,
        read_model=SqlReadModel(engine),
        publisher=publisher,
        clock=clock,
        dead_letters=dead_letters,
        partitions=settings.topic_partitions,
        card_guard=settings.payment_card_guard,
        country_code=country_code,
    )
    stall_watch = StallWatch(
        app, (CUSTOMER_IDENTIFIED, REKEYED), clock=clock, limit_seconds=STALLED_SECONDS
    )
    transaction_watch = TransactionWatch(app, CONSUMED, clock=clock)
    metrics.held_by_transactions.set_function(lambda: transaction_watch.held_back)
    health = WorkerHealth(
        app, agent, dead_letters, stall_watch, transaction_watch, cache.co_partitioning
    )
    app.timer(LOOK_SECONDS, name="stall watch")(health.watch)
    answers = AnswerFeed(clock)
    readers = create_reading_engine(engine)
    web = create_web(
        settings=settings,
        read_model=SqlReadModel(readers),
        publisher=publisher,
        clock=clock,
        health=health,
        metrics=metrics,
        answers=answers,
        configuration=live,
        breaker=lookup.breaker,
        forgetting=CustomerForgetting(
            plugins=find_plugins(), engine=engine, publish=publisher.publish, clock=clock
        ),
        dead_letters=DeadLetterBox(settings.bootstrap_servers, find_plugins()),
        drills=drills,
        directory_trial=DirectoryTrial(
            directory,
            card_guard=settings.payment_card_guard,
            country_code=country_code,
        ),
        graphiql=GraphiQL.find(),
    )
    answer_reader = AnswerReader(settings.bootstrap_servers, answers)

    async def read_answers(_: Application) -> AsyncIterator[None]:
        # The web view opens after the runtime, which has tuned the app by then.
        answer_reader.open(fetch_wait_ms=app.tuning.fetch_wait_ms)
        yield
        await answer_reader.close()

    async def close_readers(_: Application) -> None:
        await readers.dispose()

    web.cleanup_ctx.append(read_answers)
    web.on_cleanup.append(close_readers)
    runtime = Runtime(
        app=app,
        settings=settings,
        directory=directory,
        engine=engine,
        lookup=lookup,
        web=web,
        configuration=configuration,
        configuration_reader=ConfigurationReader(settings.bootstrap_servers, follower, drills),
        dead_letter_writer=dead_letter_writer,
        metrics=metrics,
        plugins=plugins,
    )
    app.lifetimes = (
        LifetimeService("Runtime", runtime.open, runtime.close),
        LifetimeService("Web", runtime.open_web, runtime.close_web),
    )
    return app
