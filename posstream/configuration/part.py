"""How a plugin declares its live configuration."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from posstream.configuration.model import PluginConfiguration

if TYPE_CHECKING:
    from collections.abc import Callable

    from posstream.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationPart:
    """The typed model of a plugin's live configuration, and this worker's defaults."""

    model: type[PluginConfiguration]
    #: Makes this worker's defaults from the platform's settings and from the values that the
    #: plugin's own `SettingsPart` read.
    defaults: "Callable[[Settings, Any], PluginConfiguration]"

    def __post_init__(self) -> None:
        if not issubclass(self.model, PluginConfiguration):
            raise TypeError(f"the model of a configuration is no PluginConfiguration: {self.model}")
