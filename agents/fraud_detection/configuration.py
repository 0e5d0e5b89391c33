"""The live configuration of fraud detection: its keys with types, ranges, titles and defaults."""

from typing import TYPE_CHECKING, Annotated, Any, Final

from msgspec import Meta, Struct, field

from agents.fraud_detection.rules.rule import GroupField, Rule
from agents.fraud_detection.rules.shipped import SHIPPED
from posstream.configuration.model import PluginConfiguration
from posstream.configuration.part import ConfigurationPart
from posstream.domain.errors import InvalidConfiguration
from posstream.domain.times import parse_utc

if TYPE_CHECKING:
    from posstream.settings import Settings

_DAY: Final = 86_400
_MOST_RULES: Final = 200
_MOST_SNOOZES: Final = 1_000


class Snooze(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For a time, a rule's alerts are listed, and not published."""

    rule_id: Annotated[str, Meta(min_length=1, max_length=63)]
    #: Of which group, by the names of `group_by`, a customer by a hash; empty: of all.
    group: dict[GroupField, Annotated[str, Meta(min_length=1, max_length=256)]] = {}
    author: Annotated[str, Meta(max_length=128)]
    reason: Annotated[str, Meta(max_length=512)] = ""
    #: A time of RFC 3339.
    until: str

    def __post_init__(self) -> None:
        if parse_utc(self.until) is None:
            raise InvalidConfiguration("until", "must be a time like 2026-01-31T08:00:00.000Z")


class FraudConfiguration(PluginConfiguration, frozen=True, kw_only=True):
    """One version of the live configuration."""

    rules: Annotated[
        list[Rule],
        Meta(
            title="Rules",
            description="When an alert is raised. The list is replaced as a whole.",
            max_length=_MOST_RULES,
        ),
    ] = field(default_factory=lambda: list(SHIPPED))
    snoozes: Annotated[
        list[Snooze],
        Meta(
            title="Snoozes",
            description="Rules whose alerts are listed and not published for a time.",
            max_length=_MOST_SNOOZES,
        ),
    ] = field(default_factory=list)
    lateness_seconds: Annotated[
        int,
        Meta(
            title="Lateness",
            description="Seconds that an event may come after it happened. An older one is "
            "counted as too late, and not judged.",
            ge=0,
            le=7 * _DAY,
        ),
    ] = _DAY
    most_alerts_per_hour: Annotated[
        int,
        Meta(
            title="Alerts of a rule",
            description="A rule that raises more in an hour on one worker is paused there.",
            ge=1,
            le=1_000_000,
        ),
    ] = 1_000
    most_cpu_percent: Annotated[
        int,
        Meta(
            title="Cost of a rule",
            description="Percent of a minute's CPU time. A rule that takes more is paused on its "
            "worker.",
            ge=1,
            le=100,
        ),
    ] = 25
    most_observations_per_group: Annotated[
        int,
        Meta(
            title="Events of a group",
            description="The most events that a group keeps. A rule that needs more is paused on "
            "its worker.",
            ge=1_000,
            le=1_000_000,
        ),
    ] = 100_000
    observations_in_memory: Annotated[
        int,
        Meta(
            title="Observations in memory",
            description="The most observations that a worker keeps in memory, some 450 bytes each; "
            "an event is one in each of its groups. Other groups are read from the disk when they "
            "get an event.",
            ge=10_000,
            le=10_000_000,
        ),
    ] = 750_000
    enabled: Annotated[
        bool,
        Meta(title="Fraud detection", description="Off: nothing is recorded or judged."),
    ] = True

    def __post_init__(self) -> None:
        known: set[str] = set()
        for number, rule in enumerate(self.rules):
            if rule.id in known:
                raise InvalidConfiguration(f"rules[{number}].id", "must differ from all others")
            known.add(rule.id)


def _defaults(_: "Settings", __: Any) -> FraudConfiguration:
    return FraudConfiguration()


CONFIGURATION: Final = ConfigurationPart(model=FraudConfiguration, defaults=_defaults)
