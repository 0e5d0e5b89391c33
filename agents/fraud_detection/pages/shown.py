"""An alert as its pages show it: why, who, and customers as the reader may see them. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agents.fraud_detection.events.outputs import FraudAlertRaised
from agents.fraud_detection.read_model.records import FraudAlert
from agents.fraud_detection.read_model.rows import stored_alert
from agents.fraud_detection.rules.rule import Rule
from agents.fraud_detection.shown_names import shown_alert as masked
from agents.fraud_detection.wording import reason, who
from posstream.domain.times import parse_utc
from web.access.reveals import Reveals
from web.console.pages import sentence as as_sentence

#: The tone of a tag: good, warn, bad or none.
TONES: Final[Mapping[str, str]] = {
    "CRITICAL": "bad",
    "HIGH": "bad",
    "MEDIUM": "warn",
    "OPEN": "warn",
    "CONFIRMED": "bad",
    "FALSE_POSITIVE": "good",
    "ACTIVE": "good",
    "SHADOW": "warn",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """One observation in the window of an alert."""

    event_type: str
    occurred_at: datetime | None
    #: In the order of `ShownAlert.columns`.
    cells: Sequence[str]
    #: Whether the alert was raised at it.
    is_trigger: bool


@dataclass(frozen=True, slots=True)
class ShownAlert:
    """An alert for one reader."""

    row: FraudAlert
    #: With customers as the reader may see them.
    raised: FraudAlertRaised
    #: Value against limit, as a sentence.
    why: str
    #: Of whom, in words.
    group: Sequence[str]
    columns: Sequence[str]
    observations: Sequence[Seen]


def shown_alert(row: FraudAlert, rule: Rule | None, reveals: Reveals) -> ShownAlert:
    """Lay an alert out.

    Args:
        row: from the read model.
        rule: as it was then; None if that is not known any more.
        reveals: what customers are shown with.
    """
    raised = stored_alert(masked(reveals, row.document))
    columns = list(dict.fromkeys(name for it in raised.observations for name in it.fields))
    return ShownAlert(
        row=row,
        raised=raised,
        why=as_sentence(reason(raised, rule)),
        group=[who(name, value) for name, value in raised.group.items()],
        columns=columns,
        observations=[
            Seen(
                event_type=it.event_type,
                occurred_at=parse_utc(it.occurred_at),
                cells=[it.fields.get(name, "") for name in columns],
                is_trigger=it.event_id == raised.triggered_by,
            )
            for it in raised.observations
        ],
    )


def tone_of(word: str) -> str:
    """The tone of a severity's, a status's or a state's tag."""
    return TONES.get(word, "")


def worded(word: str) -> str:
    """A severity, a status or a state as people read it."""
    return word.lower().replace("_", " ")
