"""Builds the customer lookup on one worker: the directory, the cache, the agents, the answers."""

from collections.abc import Awaitable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from agents.customer_lookup.agent import CustomerLookupAgent
from agents.customer_lookup.breaker_control import breaker_control
from agents.customer_lookup.cache_maintenance import CacheMaintenanceAgent
from agents.customer_lookup.configuration import LookupConfiguration
from agents.customer_lookup.customer_updates import CustomerUpdatesAgent
from agents.customer_lookup.directory.call import DirectoryCall
from agents.customer_lookup.directory.http import HttpDirectory
from agents.customer_lookup.directory.trial import DirectoryTrial
from agents.customer_lookup.drills.drilled_directory import DrilledDirectory
from agents.customer_lookup.drills.outage_drill import OutageDrills
from agents.customer_lookup.drills.reader import DrillReader
from agents.customer_lookup.late_answers import LateAnswers
from agents.customer_lookup.lookup import CustomerLookup
from agents.customer_lookup.lookup_ports import LookupPorts
from agents.customer_lookup.metrics import LookupMetrics
from agents.customer_lookup.read_model.queries import SqlReadModel
from agents.customer_lookup.topics import (
    CACHE,
    CUSTOMER_DATA_FETCHED,
    CUSTOMER_LOOKUP_FAILED,
)
from posstream.findings import Finding, Severity
from posstream.kafka.event_feed import EventFeed
from posstream.kafka.feed_reader import FeedReader
from posstream.plugin import Built, Kit, Lifetime
from posstream.streaming.stall import LOOK_SECONDS
from tables.cache_filler import CacheFiller
from tables.cache_sweep import INTERVAL_SECONDS, CacheSweeper
from tables.customer_cache import CustomerCacheTable

if TYPE_CHECKING:
    from agents.customer_lookup.settings import LookupSettings
    from posstream.configuration.current import CurrentConfiguration

#: How long a stop waits for calls that no event waits for any more.
_LAST_CALLS_SECONDS = 1.0


def build(kit: Kit) -> Built:
    """Wire the plugin on the app of one start."""
    own: LookupSettings = kit.own_settings
    settings, clock, app, publisher = kit.settings, kit.clock, kit.app, kit.publisher
    if kit.configuration is None:
        raise TypeError("the customer lookup has a live configuration")
    configuration: CurrentConfiguration[LookupConfiguration] = kit.configuration
    metrics = LookupMetrics(kit.metrics)

    def country_code() -> str | None:
        return configuration.value.default_country_code

    directory = HttpDirectory.of(own, card_guard=settings.payment_card_guard, clock=clock)
    drills = OutageDrills(publish=publisher.publish, clock=clock, metrics=metrics)
    drilled = DrilledDirectory(directory=directory, running=lambda: drills.running, clock=clock)
    call = DirectoryCall(drilled, clock=clock, metrics=metrics)

    def follow(value: LookupConfiguration) -> None:
        call.follow(value)
        app.answer_by(value.deadline_seconds)

    configuration.watch(follow)
    lookup = CustomerLookup(
        call=call,
        configuration=configuration,
        publisher=publisher,
        clock=clock,
        metrics=metrics,
        refreshes_ahead=own.refresh_ahead,
    )
    cache = CustomerCacheTable(
        app,
        CACHE,
        partitions=settings.topic_partitions,
        hot_bytes=own.cache_memory_mib * 1024 * 1024,
    )
    agent = CustomerLookupAgent(
        app=app,
        lookup=lookup,
        cache=cache,
        publisher=publisher,
        clock=clock,
        metrics=metrics,
        partitions=settings.topic_partitions,
        card_guard=settings.payment_card_guard,
    )

    late_answers = LateAnswers(metrics, clock)

    async def watch() -> None:
        drills.look()
        late_answers.look()
        await agent.watch_commits()

    app.timer(LOOK_SECONDS, name="commit watch")(watch)
    CacheMaintenanceAgent(
        app=app, cache=cache, lookup=lookup, publisher=publisher, clock=clock, metrics=metrics
    )
    sweeper = CacheSweeper(
        cache, windows=lambda: configuration.value.windows, clock=clock, metrics=metrics
    )
    app.timer(INTERVAL_SECONDS, name="cache sweep")(sweeper.sweep)
    app.timer(INTERVAL_SECONDS, name="cache memory")(CacheFiller(cache, clock).fill)
    CustomerUpdatesAgent(
        app=app,
        read_model=SqlReadModel(kit.engine),
        publisher=publisher,
        clock=clock,
        partitions=settings.topic_partitions,
        card_guard=settings.payment_card_guard,
        country_code=country_code,
    )
    answers = EventFeed(clock, what="answer topics")
    ports = LookupPorts(
        read_model=SqlReadModel(kit.readers),
        publisher=publisher,
        answers=answers,
        breaker=lookup.breaker,
        drills=drills,
        directory_trial=DirectoryTrial(
            directory, card_guard=settings.payment_card_guard, country_code=country_code
        ),
    )
    drill_reader = DrillReader(settings.bootstrap_servers, drills)
    answer_reader = FeedReader(
        settings.bootstrap_servers,
        answers,
        CUSTOMER_DATA_FETCHED,
        CUSTOMER_LOOKUP_FAILED,
        name="answers",
    )

    def opens_drills() -> Awaitable[None]:
        return drill_reader.open(fetch_wait_ms=app.tuning.rare_fetch_wait_ms)

    def opens_answers() -> Awaitable[None]:
        return answer_reader.open(fetch_wait_ms=app.tuning.fetch_wait_ms)

    async def drain() -> None:
        # By now their events are answered, or the stop has waited for them as long as it may.
        await lookup.drain(_LAST_CALLS_SECONDS)
        await directory.close()
        configuration.unwatch(follow)

    return Built(
        ports=ports,
        warnings=partial(_findings, call, drills, late_answers),
        controls=(breaker_control(lookup.breaker),),
        lifetimes=(
            Lifetime(name="Drills", open=opens_drills, close=drill_reader.close),
            Lifetime(name="Directory", open=directory.open, close=drain),
            Lifetime(name="Answers", open=opens_answers, close=answer_reader.close),
        ),
    )


def _findings(
    call: DirectoryCall, drills: OutageDrills, late_answers: LateAnswers
) -> Sequence[Finding]:
    found = late_answers.findings
    if call.is_open:
        found.append(
            Finding(
                code="BREAKER_OPEN",
                severity=Severity.CRITICAL,
                sentence="the circuit breaker is open: the directory is not called",
                next_step="Look at the directory: the breaker closes by itself when it answers",
                link="/lookups?outcome=FAILED",
            )
        )
    if drills.running is not None:
        found.append(
            Finding(
                code="DRILL_RUNS",
                sentence=f"an outage drill runs, by {drills.running.started_by}",
                next_step="Stop it if tills must not be disturbed; it ends by itself",
                link="/drill",
            )
        )
    return found
