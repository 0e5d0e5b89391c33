"""The plugin that raises an alert where the events of tills look like fraud."""

from typing import TYPE_CHECKING, Any, Final

from agents.fraud_detection import topics
from agents.fraud_detection.configuration import CONFIGURATION
from agents.fraud_detection.events.declared import EVENTS
from agents.fraud_detection.forgetting import FORGETTING
from agents.fraud_detection.metrics import METRICS
from agents.fraud_detection.read_model.part import READ_MODEL
from posstream.plugin import Built, Kit, Plugin, PortsKit

if TYPE_CHECKING:
    from collections.abc import Sequence

    import click


def _build(kit: Kit) -> Built:
    from agents.fraud_detection.build import build

    return build(kit)


def _ports(kit: PortsKit) -> Built:
    from agents.fraud_detection.build_ports import build_ports

    return build_ports(kit)


def _graphql() -> Any:
    from agents.fraud_detection.graphql.part import graphql_part

    return graphql_part()


def _pages() -> Any:
    from agents.fraud_detection.pages.part import console_part

    return console_part()


def _commands() -> "Sequence[click.Command]":
    from agents.fraud_detection.commands import commands

    return commands()


PLUGIN: Final = Plugin(
    name="fraud_detection",
    description="Raises an alert where the events of tills look like fraud.",
    build=_build,
    ports=_ports,
    topics=topics.TOPICS,
    consumes=topics.CONSUMED,
    dead_letters=topics.DEAD_LETTERS,
    events=EVENTS,
    configuration=CONFIGURATION,
    tables=(topics.OBSERVATIONS,),
    metrics=METRICS,
    looks_at=("the budgets of the fraud rules",),
    read_model=READ_MODEL,
    forgetting=FORGETTING,
    graphql=_graphql,
    pages=_pages,
    commands=_commands,
)
