"""The plugin that keeps the baskets of all tills, and tells when one is paid."""

from typing import Any, Final

from agents.baskets import topics
from agents.baskets.configuration import CONFIGURATION
from agents.baskets.events.declared import EVENTS
from agents.baskets.forgetting import FORGETTING
from agents.baskets.metrics import METRICS
from agents.baskets.read_model.part import READ_MODEL
from posstream.dead_letters.part import ReplayPart, Told
from posstream.plugin import Built, Kit, Plugin, PortsKit


def _build(kit: Kit) -> Built:
    from agents.baskets.build import build

    return build(kit)


def _ports(kit: PortsKit) -> Built:
    from agents.baskets.basket_ports import BasketPorts
    from agents.baskets.read_model.queries import TillBaskets

    return Built(ports=BasketPorts(baskets=TillBaskets(kit.readers), publisher=kit.publisher))


def _replayed(message: Any, topic: str, card_guard: bool) -> Told:  # noqa: FBT001 - see `ReplayPart`
    from agents.baskets.replaying import read

    return read(message, topic, card_guard)


def _graphql() -> Any:
    from agents.baskets.graphql.part import graphql_part

    return graphql_part()


def _pages() -> Any:
    from agents.baskets.pages.part import console_part

    return console_part()


PLUGIN: Final = Plugin(
    name="baskets",
    description="Keeps the basket at each till, and tells when one is paid.",
    build=_build,
    ports=_ports,
    topics=topics.TOPICS,
    consumes=topics.CONSUMED,
    dead_letters=topics.DEAD_LETTERS,
    replayable=(topics.POS_EVENTS,),
    replay=ReplayPart(read=_replayed),
    events=EVENTS,
    configuration=CONFIGURATION,
    tables=(topics.BASKETS,),
    metrics=METRICS,
    read_model=READ_MODEL,
    forgetting=FORGETTING,
    graphql=_graphql,
    pages=_pages,
)
