"""The versions of the live configuration, with what tills got before and after each. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.customer_lookup.lookup_split import LookupSplit, split
from posstream.configuration.current import CurrentConfiguration
from posstream.configuration.version import (
    UNEDITED,
    ConfigurationChange,
    ConfigurationVersion,
)
from web.console.configuration_form import Difference, differences

Answers = Mapping[tuple[str | None, str | None], int]


@dataclass(frozen=True, slots=True)
class Edition:
    """One version as the history shows it."""

    version: ConfigurationVersion
    changes: Sequence[Difference]
    #: Answers by the version before it, and by itself.
    before: LookupSplit
    after: LookupSplit


def numbers(history: Sequence[ConfigurationChange]) -> set[int]:
    """The versions whose answers a history compares: its own, and the defaults."""
    return {0, *(change.version.version for change in history)}


def editions(
    history: Sequence[ConfigurationChange],
    shown: int,
    answers: Mapping[int, Answers],
    current: CurrentConfiguration,
) -> list[Edition]:
    """The newest `shown` versions.

    Args:
        history: newest first; one more than is shown, for the oldest one's before.
        shown: how many.
        answers: by version and (source, reason).
        current: for what a version means on this worker.
    """
    made = []
    for place, change in enumerate(history[:shown]):
        older = history[place + 1].version.version if place + 1 < len(history) else 0
        replaced = ConfigurationVersion(older, change.old_enabled, change.old_config)
        made.append(
            Edition(
                change.version,
                differences(replaced, change.version, current),
                before=split(answers.get(older, {})),
                after=split(answers.get(change.version.version, {})),
            )
        )
    return made


def failed_ratio(answers: LookupSplit) -> float | None:
    """The share of answers without a customer who exists; None without answers."""
    return answers.failed / answers.lookups if answers.lookups else None


def find(history: Sequence[ConfigurationChange], number: int) -> ConfigurationVersion | None:
    """One version of a history; 0 is the defaults."""
    if number == 0:
        return UNEDITED
    return next((one.version for one in history if one.version.version == number), None)
