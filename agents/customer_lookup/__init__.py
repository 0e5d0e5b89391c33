"""The plugin that answers who a scanned customer is."""

from typing import Final

from agents.customer_lookup import topics
from agents.customer_lookup.configuration import CONFIGURATION
from agents.customer_lookup.deferred import deferred
from agents.customer_lookup.events.declared import EVENTS
from agents.customer_lookup.forgetting import FORGETTING
from agents.customer_lookup.metrics import METRICS
from agents.customer_lookup.read_model.part import READ_MODEL
from agents.customer_lookup.settings import SETTINGS
from posstream.dead_letters.part import ReplayPart
from posstream.plugin import Plugin

PLUGIN: Final = Plugin(
    name="customer_lookup",
    description="Answers who a scanned customer is: from the cache, else from the directory.",
    build=deferred("build:build"),
    is_default=True,
    group="posstream",
    topics=topics.TOPICS,
    consumes=topics.CONSUMED,
    dead_letters=topics.DEAD_LETTERS,
    replayable=(topics.CUSTOMER_IDENTIFIED, topics.CUSTOMER_UPDATED),
    replay=ReplayPart(read=deferred("replaying:read"), answers=deferred("replaying:answers")),
    events=EVENTS,
    settings=SETTINGS,
    configuration=CONFIGURATION,
    tables=(topics.CACHE,),
    metrics=METRICS,
    looks_at=("the circuit breaker", "drills", "answers of the last five minutes"),
    graphql=deferred("graphql.part:graphql_part"),
    pages=deferred("pages.part:console_part"),
    read_model=READ_MODEL,
    forgetting=FORGETTING,
    commands=deferred("commands:commands"),
    check=deferred("commands.check_directory:check_directory"),
    addresses=deferred("directory.mock:shown_addresses"),
)
