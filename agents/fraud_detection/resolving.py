"""Writes what somebody found out about an alert.

GraphQL's mutation and the page of an alert use this module.
"""

import dataclasses
import uuid
from dataclasses import dataclass
from typing import Final

import msgspec

from agents.fraud_detection.events.outputs import FraudVerdict
from agents.fraud_detection.fraud_ports import fraud_ports
from agents.fraud_detection.read_model.records import FraudAlert
from agents.fraud_detection.topics import VERDICTS
from agents.fraud_detection.verdict import MAX_NOTE, Verdict
from posstream.domain.errors import PublishFailed
from posstream.domain.payment_card import mask_payment_cards
from posstream.domain.printable import is_storable
from posstream.domain.times import from_ms, iso_utc_ms
from posstream.kafka.record import Record
from web.graphql.context import GraphQLContext, Refused

_UNKNOWN: Final = Refused("UNKNOWN_ALERT", "there is no alert with this alertId")
_BAD_NOTE: Final = Refused("INVALID_NOTE", f"note must be text of at most {MAX_NOTE} characters")
_UNACKNOWLEDGED: Final = Refused(
    "BROKER_UNAVAILABLE", "the broker did not acknowledge the verdict; try again"
)


@dataclass(frozen=True, slots=True)
class Resolved:
    """The outcome; `success` means that the broker has the verdict."""

    success: bool
    #: With the verdict, which SQL has a moment later.
    alert: FraudAlert | None = None
    error: Refused | None = None


async def resolve_alert(
    context: GraphQLContext, alert_id: str, verdict: Verdict, note: str | None, *, by: str
) -> Resolved:
    """Write a verdict.

    Args:
        context: of the request; its caller is an operator.
        alert_id: of an alert in the read model.
        verdict: what was found out.
        note: for people; blank = none. Payment-card numbers in it are masked.
        by: who says so.
    """
    text = (note or "").strip()
    if len(text) > MAX_NOTE or not is_storable(text):
        return Resolved(success=False, error=_BAD_NOTE)
    ports = fraud_ports(context)
    alert = await ports.alerts.by_id(alert_id)
    if alert is None:
        return Resolved(success=False, error=_UNKNOWN)
    now_ms = context.clock.now_ms()
    said = FraudVerdict(
        verdict_id=str(uuid.uuid4()),
        alert_id=alert_id,
        verdict=verdict,
        note=(mask_payment_cards(text) if context.card_guard else text) or None,
        author=by,
        at=iso_utc_ms(now_ms),
    )
    try:
        await ports.publisher.publish(
            Record(VERDICTS, alert_id.encode(), msgspec.json.encode(said))
        )
    except PublishFailed:
        return Resolved(success=False, error=_UNACKNOWLEDGED)
    told = dataclasses.replace(
        alert,
        status=verdict.value,
        verdict=verdict.value,
        note=said.note,
        author=by,
        judged_at=from_ms(now_ms),
    )
    return Resolved(success=True, alert=told)
