"""The history of a live configuration, each version beside the one before. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from posstream.configuration.version import ConfigurationChange, ConfigurationVersion
from web.console.configuration_form import Difference, Form


@dataclass(frozen=True, slots=True)
class Edition:
    """One version as the history shows it."""

    version: ConfigurationVersion
    changes: Sequence[Difference]
    #: What the version before and this one led to, by `ConfigurationExtra.outcomes`.
    before: Any
    after: Any


def editions(
    history: Sequence[ConfigurationChange], shown: int, outcomes: Mapping[int, Any], form: Form
) -> list[Edition]:
    """The newest `shown` versions.

    Args:
        history: newest first; one more than is shown, for the oldest one's before.
        shown: how many.
        outcomes: what each version led to.
        form: for what a version means on this worker.
    """
    made = []
    for place, change in enumerate(history[:shown]):
        older = history[place + 1].version.version if place + 1 < len(history) else 0
        made.append(
            Edition(
                change.version,
                changes_of(change, form),
                before=outcomes.get(older),
                after=outcomes.get(change.version.version),
            )
        )
    return made


def changes_of(change: ConfigurationChange, form: Form) -> list[Difference]:
    """What a version changed of what it replaced."""
    replaced = ConfigurationVersion(0, change.old_enabled, change.old_config)
    return form.differences(replaced, change.version)
