"""Prints alerts, from the database alone."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from agents.fraud_detection.read_model.records import AlertFilter
from agents.fraud_detection.rules.rule import RuleState, Severity
from agents.fraud_detection.verdict import AlertStatus
from posstream.commands.running import print_json, print_table
from posstream.domain.printable import printable
from posstream.domain.roles import NOBODY
from posstream.domain.times import iso_utc
from posstream.settings import Settings

if TYPE_CHECKING:
    from agents.fraud_detection.read_model.records import FraudAlert

_HEAD: Final = ("WHEN", "SEVERITY", "RULE", "GROUP", "VALUE", "HITS", "STATUS", "")


async def print_alerts(
    settings: Settings, conditions: Mapping[str, Any], *, limit: int, as_json: bool
) -> int:
    """Print the newest alerts.

    Args:
        settings: name the database.
        conditions: fields of an `AlertFilter`.
        limit: at most this many.
        as_json: whole alerts, as a list.

    Returns:
        0.

    Raises:
        DatabaseUnusable: without a database.
    """
    from agents.fraud_detection.read_model.queries import FraudAlerts
    from agents.fraud_detection.shown_names import shown_alert
    from posstream.commands.database import opened
    from web.access.reveals import Reveals

    severity, status = conditions["severity"], conditions["status"]
    wanted = AlertFilter(
        **{
            **conditions,
            "severity": None if severity is None else Severity(severity),
            "status": None if status is None else AlertStatus(status),
        }
    )
    async with opened(settings) as engine:
        found = await FraudAlerts(engine).listed(wanted, first=limit)
    reveals = Reveals(NOBODY, asked=False)
    documents = [shown_alert(reveals, it.document) for it in found]
    if as_json:
        rows = [
            {**document, **_state(alert)} for alert, document in zip(found, documents, strict=True)
        ]
        print_json(rows)
    elif not found:
        print("no alert matches")
    else:
        print_table(
            _HEAD,
            [
                (
                    document["occurred_at"],
                    document["severity"],
                    printable(document["rule_id"]),
                    group_text(document["group"]),
                    f"{document['value']} {document['operator']} {document['limit']}",
                    str(alert.hits),
                    alert.status,
                    ", ".join(_marks(alert)),
                )
                for alert, document in zip(found, documents, strict=True)
            ],
        )
    return 0


def group_text(group: Mapping[str, str]) -> str:
    """A group in one word for each name."""
    return " ".join(f"{name}={printable(text)}" for name, text in group.items())


def _marks(alert: "FraudAlert") -> Iterator[str]:
    if alert.rule_state == RuleState.SHADOW.value:
        yield "shadow"
    if alert.snoozed:
        yield "snoozed"
    if alert.document["complete_from"] is not None:
        yield "warming"


def _state(alert: "FraudAlert") -> dict[str, Any]:
    return {
        "rule_state": alert.rule_state,
        "snoozed": alert.snoozed,
        "hits": alert.hits,
        "last_hit_at": iso_utc(alert.last_hit_at),
        "status": alert.status,
        "note": alert.note,
        "author": alert.author,
        "judged_at": iso_utc(alert.judged_at),
    }
