"""Prints the rules with what their alerts say of them, from the database alone."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from agents.fraud_detection.read_model.records import RuleFigures
from agents.fraud_detection.wording import length, sentence
from posstream.commands.running import print_json, print_table
from posstream.domain.errors import StartRefused
from posstream.domain.printable import printable
from posstream.domain.times import from_ms
from posstream.resilience.clock import Clock
from posstream.settings import Settings

if TYPE_CHECKING:
    from agents.fraud_detection.configuration import FraudConfiguration
    from agents.fraud_detection.rules.rule import Rule

_PLUGIN: Final = "fraud_detection"
_HEAD: Final = (
    "RULE",
    "STATE",
    "SEVERITY",
    "WINDOW",
    "ALERTS IN 24 H",
    "SHADOW",
    "PRECISION",
    "LOOKS FOR",
)
_DAY: Final = timedelta(hours=24)


async def print_rules(settings: Settings, *, as_json: bool) -> int:
    """Print every rule of the newest configuration.

    Returns:
        0.

    Raises:
        DatabaseUnusable: without a database.
        StartRefused: if the plugin is switched off by POSSTREAM_PLUGINS.
    """
    from agents.fraud_detection.read_model.queries import FraudAlerts
    from posstream.commands.database import opened
    from posstream.configuration.configurations import Configurations

    async with opened(settings) as engine:
        live = Configurations.of(settings, engine, Clock()).get(_PLUGIN)
        if live is None:
            raise StartRefused(f"the plugin {_PLUGIN} is not among POSSTREAM_PLUGINS")
        value: FraudConfiguration = live.current.effective(await live.latest())
        now, alerts = from_ms(Clock().now_ms()), FraudAlerts(engine)
        figures, warming = await alerts.figures(now - _DAY), await alerts.warming(now)
    known = [(rule, figures.get(rule.id, RuleFigures())) for rule in value.rules]
    if as_json:
        rows = [
            {
                "rule": msgspec.to_builtins(rule),
                "warming": warming.get(rule.id),
                **_figures(figure),
            }
            for rule, figure in known
        ]
        print_json(rows)
        return 0
    print_table(
        _HEAD,
        [
            (
                printable(rule.id),
                _state(rule, warming.get(rule.id)),
                rule.severity.value,
                length(rule.window_seconds),
                str(figure.live),
                str(figure.shadow),
                _share(figure),
                printable(sentence(rule)),
            )
            for rule, figure in known
        ],
    )
    return 0


def _state(rule: "Rule", warming: int | None) -> str:
    return rule.state.value if warming is None else f"{rule.state.value}, WARMING {warming}%"


def _figures(figure: RuleFigures) -> dict[str, Any]:
    return {
        "alerts_in_day": figure.live,
        "shadow_alerts_in_day": figure.shadow,
        "confirmed": figure.confirmed,
        "false_positives": figure.false_positives,
        "precision": figure.precision,
    }


def _share(figure: RuleFigures) -> str:
    if figure.precision is None:
        return "-"
    told = figure.confirmed + figure.false_positives
    return f"{figure.precision:.0%} of {told}"
