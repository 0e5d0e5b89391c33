"""The live configuration of the toy: one key."""

from typing import TYPE_CHECKING, Annotated, Any, Final

from msgspec import Meta

from posstream.configuration.model import PluginConfiguration
from posstream.configuration.part import ConfigurationPart

if TYPE_CHECKING:
    from posstream.settings import Settings


class ToyConfiguration(PluginConfiguration, frozen=True, kw_only=True):
    """One version of the live configuration."""

    every: Annotated[
        int,
        Meta(title="Every", description="Tell about each so many answers.", ge=1, le=1000),
    ] = 1


def _defaults(_: "Settings", __: Any) -> ToyConfiguration:
    return ToyConfiguration()


CONFIGURATION: Final = ConfigurationPart(model=ToyConfiguration, defaults=_defaults)
