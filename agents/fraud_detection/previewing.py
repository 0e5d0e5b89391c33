"""Checks a rule that somebody is writing, and asks how often it would have fired.

GraphQL and the form of a rule use this module.
"""

from collections.abc import Mapping
from typing import Any, Final

from agents.fraud_detection.configuration import FraudConfiguration
from agents.fraud_detection.fraud_ports import fraud_ports
from agents.fraud_detection.preview import MAX_HOURS, Previewed, PreviewRefused
from posstream.configuration.model import read_value
from posstream.domain.errors import InvalidConfiguration
from web.graphql.context import GraphQLContext

#: The place of a single rule in a refusal of `rules`.
_PLACE: Final = "rules[0]"


async def preview_rule(
    context: GraphQLContext, rule: object, hours: int
) -> Previewed | PreviewRefused:
    """How often a rule would have fired, with the newest of the alerts.

    Args:
        context: of the request; its caller is an operator.
        rule: as in the configuration.
        hours: back from now.
    """
    if not 1 <= hours <= MAX_HOURS:
        return PreviewRefused("INVALID_HOURS", f"hours must be from 1 to {MAX_HOURS}")
    if not isinstance(rule, Mapping):
        return PreviewRefused("INVALID_RULE", "rule must be an object")
    given: Mapping[str, Any] = rule
    try:
        read_value(FraudConfiguration, "rules", [dict(given)])
    except InvalidConfiguration as why:
        place = why.key.removeprefix(_PLACE).removeprefix(".") or "rule"
        return PreviewRefused("INVALID_RULE", f"{place}: {why.why}")
    return await fraud_ports(context).preview(given, hours)
