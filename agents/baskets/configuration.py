"""The live configuration of the baskets: its keys with types, ranges, titles and defaults."""

from typing import TYPE_CHECKING, Annotated, Any, Final

from msgspec import Meta

from agents.baskets.basket import DEFAULT_PLACES
from posstream.configuration.model import PluginConfiguration
from posstream.configuration.part import ConfigurationPart

if TYPE_CHECKING:
    from posstream.settings import Settings

#: A month. The changelog keeps a value for a day longer (`tables.baskets`).
MOST_HOURS: Final = 31 * 24


class BasketConfiguration(PluginConfiguration, frozen=True, kw_only=True):
    """One version of the live configuration."""

    decimal_places: Annotated[
        int,
        Meta(
            title="Places of the currency",
            description="Places to which the price of a weighed item is rounded.",
            ge=0,
            le=4,
        ),
    ] = DEFAULT_PLACES
    keep_open_hours: Annotated[
        int,
        Meta(
            title="Keep open baskets",
            description="Hours after its last event at which a basket that nobody paid or voided "
            "leaves the table. The read model keeps it.",
            ge=1,
            le=MOST_HOURS,
        ),
    ] = 24
    keep_closed_hours: Annotated[
        int,
        Meta(
            title="Keep closed baskets",
            description="Hours after its last event at which a paid or voided basket leaves the "
            "table. A later refund begins a new basket.",
            ge=1,
            le=MOST_HOURS,
        ),
    ] = 7 * 24
    enabled: Annotated[
        bool,
        Meta(
            title="Baskets",
            description="Off: events wait in their topics, and are counted once it is on again. "
            "Topics keep them for a week.",
        ),
    ] = True


def _defaults(_: "Settings", __: Any) -> BasketConfiguration:
    return BasketConfiguration()


CONFIGURATION: Final = ConfigurationPart(model=BasketConfiguration, defaults=_defaults)
