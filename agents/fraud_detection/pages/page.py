"""What the pages of the plugin share: what they ask, and their links."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from agents.fraud_detection.configuration import FraudConfiguration
from agents.fraud_detection.fraud_ports import FraudPorts, fraud_ports, live_configuration
from posstream.configuration.editing import LiveConfiguration
from posstream.domain.roles import Caller
from web.console.pages import Pages
from web.graphql.context import GraphQLContext

ALERTS: Final = "/fraud/alerts"
RULES: Final = "/fraud/rules"
#: The name of an editor in the history if there are no keys.
EDITOR: Final = "console"


@dataclass(eq=False)
class Page:
    """A page, or a few that belong together."""

    pages: Pages
    context: GraphQLContext

    @property
    def ports(self) -> FraudPorts:
        """The plugin as it runs on this worker.

        Raises:
            PluginUnavailable: if the plugin does not run.
        """
        return fraud_ports(self.context)

    @property
    def live(self) -> LiveConfiguration[FraudConfiguration]:
        """The live configuration, which has the rules and the snoozes."""
        return live_configuration(self.context)


def alert_path(alert_id: str) -> str:
    """The path of the page of one alert."""
    return f"{ALERTS}/{quote(alert_id, safe='')}"


def rule_path(rule_id: str) -> str:
    """The place of one rule on the page of all."""
    return f"{RULES}#{quote(rule_id, safe='')}"


def edit_path(rule_id: str) -> str:
    """The path of the form of one rule."""
    return f"{RULES}/edit/{quote(rule_id, safe='')}"


def by(caller: Caller) -> str:
    """The name that stands in the history for what a caller does."""
    return caller.name if caller.keyed else EDITOR
