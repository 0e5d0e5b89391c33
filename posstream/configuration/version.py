"""One version of a plugin's live configuration: what was set, by whom, when and why. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class ConfigurationVersion:
    """What was set explicitly; a key that is not in `config` is at the worker's own default."""

    #: Grows with every edit; 0 = never edited.
    version: int
    enabled: bool = True
    config: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    updated_at: datetime | None = None
    updated_by: str | None = None


@dataclass(frozen=True, slots=True)
class ConfigurationChange:
    """A version, and the content of the version that it replaced."""

    version: ConfigurationVersion
    old_enabled: bool
    old_config: Mapping[str, Any]


#: Everything at its default.
UNEDITED: Final = ConfigurationVersion(0)
