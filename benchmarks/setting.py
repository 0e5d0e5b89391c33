"""What a run of the benchmarks was asked for."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Setting:
    """The same for every measure; each takes from it what it needs."""

    rounds: int
    #: Of the fastest contestants; slow ones get a share of them.
    events: int
    #: Customers who are known.
    customers: int
    #: The largest cache of the measure of growth.
    most_keys: int
    #: Names of contestants, where not all take part.
    contestants: tuple[str, ...]
    #: The embedded broker, although there is Java.
    embedded: bool
    folder: Path
