"""How far back the overview looks: ranges that its reader chooses in the URL. Pure."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

#: The parameter of the URL.
RANGE: Final = "range"
#: By the word in the URL, which is the range's name; the first one is used unless the URL says
#: otherwise.
RANGES: Final[Mapping[str, timedelta]] = {
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(hours=24),
}


def range_of(query: Mapping[str, str]) -> str:
    """The word of the range that a URL asks for; the first one if there is no such range."""
    asked = query.get(RANGE, "")
    return asked if asked in RANGES else next(iter(RANGES))
