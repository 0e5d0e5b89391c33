"""`posstream fraud`: the rules with their figures, the alerts, and what a rule would have done."""

import sys
from collections.abc import Mapping
from typing import Any, TextIO

import click
import orjson

from agents.fraud_detection.commands.alerts import print_alerts
from agents.fraud_detection.commands.preview import print_preview
from agents.fraud_detection.commands.rules import print_rules
from agents.fraud_detection.preview import MAX_HOURS
from agents.fraud_detection.rules.rule import Severity
from agents.fraud_detection.verdict import AlertStatus
from posstream.commands.group import CommandGroup
from posstream.commands.moment import MOMENT
from posstream.commands.running import JSON_OPTION, read_settings, run


@click.group("fraud", cls=CommandGroup)
def command() -> None:
    """Show rules and alerts of fraud detection, and preview a rule."""


@command.command("rules")
@JSON_OPTION
def _rules(*, as_json: bool) -> None:
    """Show every rule: state, alerts of the last 24 hours, and the share that was right.

    The rules are the newest ones of the configuration. Reads only the database.
    """
    run(print_rules(read_settings(), as_json=as_json))


@command.command("alerts")
@click.option("--rule", "rule_id", help="Of the rule with this id.")
@click.option("--severity", type=click.Choice(list(Severity), case_sensitive=False))
@click.option("--status", type=click.Choice(list(AlertStatus), case_sensitive=False))
@click.option("--employee", "employee_id", help="Of the employee with this id.")
@click.option("--terminal", "terminal_id", help="Of the terminal with this id.")
@click.option("--basket", "basket_id", help="Of the basket with this id.")
@click.option("--customer", "customer_id", help="Of the customer with this id.")
@click.option("--from", "since", type=MOMENT, help="Occurred then or later.")
@click.option("--to", "until", type=MOMENT, help="Occurred before.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@JSON_OPTION
def _alerts(*, limit: int, as_json: bool, **conditions: Any) -> None:
    """Show alerts, the newest first, those of SHADOW rules too. Reads only the database.

    Ids of customers that are phones or e-mail addresses are masked.
    """
    run(print_alerts(read_settings(), conditions, limit=limit, as_json=as_json))


@command.command("preview")
@click.argument("file", type=click.File())
@click.option(
    "--hours",
    default=24,
    show_default=True,
    type=click.IntRange(1, MAX_HOURS),
    help="Back from now.",
)
@JSON_OPTION
def _preview(file: TextIO, *, hours: int, as_json: bool) -> None:
    """Show how often the rule in FILE would have fired, and the newest ten of its alerts.

    FILE has one rule as JSON; - is the standard input. Asks the worker at this machine's web view.
    Exits with 1 if the rule is refused, or no worker answers.
    """
    run(print_preview(read_settings(), _rule(file), hours, as_json=as_json))


def _rule(file: TextIO) -> Mapping[str, Any]:
    try:
        rule = orjson.loads(file.read())
    except (orjson.JSONDecodeError, UnicodeDecodeError):
        rule = None
    if not isinstance(rule, dict):
        print("error: FILE must hold one rule as JSON", file=sys.stderr)
        sys.exit(2)
    return rule
