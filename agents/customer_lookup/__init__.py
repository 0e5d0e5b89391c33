"""The plugin that answers who a scanned customer is."""

from typing import Final

from agents.customer_lookup import topics
from agents.customer_lookup.forgetting import FORGETTING
from agents.customer_lookup.read_model.part import READ_MODEL
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
    consumes=topics.CONSUMED,
    dead_letters=topics.DEAD_LETTERS,
    replayable=(topics.CUSTOMER_IDENTIFIED, topics.CUSTOMER_UPDATED),
    tables=(topics.CACHE,),
    forgetting=FORGETTING,
    read_model=READ_MODEL,
)
