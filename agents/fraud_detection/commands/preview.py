"""Prints what a rule would have done, by the worker at this machine's web view."""

import sys
from collections.abc import Mapping
from typing import Any, Final

import orjson

from agents.fraud_detection.commands.alerts import group_text
from posstream.commands.running import print_json, print_table
from posstream.commands.worker import ask_worker
from posstream.domain.printable import printable
from posstream.settings import Settings

#: A worker gives a query up before that.
_SECONDS: Final = 30.0
_QUERY: Final = """
query PreviewFraudRule($rule: JSONString!, $hours: Int!) {
  previewFraudRule(rule: $rule, hours: $hours) {
    count
    alerts { occurredAt group value operator limit observationsTotal triggeredBy }
    error { code message }
  }
}
"""


async def print_preview(
    settings: Settings, rule: Mapping[str, Any], hours: int, *, as_json: bool
) -> int:
    """Print how often a rule would have fired, and the newest of its alerts.

    Returns:
        0, or 1 if the rule is refused.

    Raises:
        WorkerUnreachable: if no worker answers.
    """
    variables = {"rule": orjson.dumps(rule).decode(), "hours": hours}
    data = await ask_worker(settings, _QUERY, variables, seconds=_SECONDS)
    found = data["previewFraudRule"]
    if found["error"] is not None:
        print(f"error: {printable(found['error']['message'])}", file=sys.stderr)
        return 1
    alerts = [{**it, "group": orjson.loads(it["group"])} for it in found["alerts"]]
    if as_json:
        document = {"count": found["count"], "alerts": alerts}
        print_json(document)
        return 0
    newest = f": the newest {len(alerts)}" if found["count"] > len(alerts) else ""
    print(f"would have fired {found['count']} times in {hours} h{newest}")
    if alerts:
        print_table(
            ("WHEN", "GROUP", "VALUE", "OBSERVATIONS"),
            [
                (
                    it["occurredAt"],
                    group_text(it["group"]),
                    f"{it['value']} {it['operator']} {it['limit']}",
                    str(it["observationsTotal"]),
                )
                for it in alerts
            ],
        )
    return 0
