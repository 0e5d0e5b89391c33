"""The plugin that answers who a scanned customer is."""

from typing import Final

from agents.customer_lookup import topics
from agents.customer_lookup.configuration import CONFIGURATION
from agents.customer_lookup.events.declared import EVENTS
from agents.customer_lookup.metrics import METRICS
from agents.customer_lookup.settings import SETTINGS
from posstream.plugin import Built, Kit, Plugin


def _build(kit: Kit) -> Built:
    from agents.customer_lookup.build import build

    return build(kit)


PLUGIN: Final = Plugin(
    name="customer_lookup",
    description="Answers who a scanned customer is: from the cache, else from the directory.",
    build=_build,
    is_default=True,
    group="posstream",
    topics=topics.TOPICS,
    consumes=topics.CONSUMED,
    dead_letters=topics.DEAD_LETTERS,
    replayable=(topics.CUSTOMER_IDENTIFIED, topics.CUSTOMER_UPDATED),
    events=EVENTS,
    settings=SETTINGS,
    configuration=CONFIGURATION,
    tables=(topics.CACHE,),
    metrics=METRICS,
)
