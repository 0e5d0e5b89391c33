"""The plugin that answers who a scanned customer is."""

from typing import Final

from agents.customer_lookup import topics
from agents.customer_lookup.forgetting import FORGETTING
from posstream.plugin import Built, Kit, Plugin


def _build(kit: Kit) -> Built:
    raise NotImplementedError(kit.plugin.name)


PLUGIN: Final = Plugin(
    name="customer_lookup",
    description="Answers who a scanned customer is: from the cache, else from the directory.",
    build=_build,
    is_default=True,
    group="posstream",
    topics=topics.TOPICS,
    consumes=(
        topics.CUSTOMER_IDENTIFIED,
        topics.REKEYED,
        topics.CUSTOMER_UPDATED,
        topics.CACHE_COMMANDS,
    ),
    dead_letters=topics.DEAD_LETTERS,
    replayable=(topics.CUSTOMER_IDENTIFIED, topics.CUSTOMER_UPDATED),
    tables=(topics.CACHE,),
    forgetting=FORGETTING,
)
