"""What every contestant is told, and what it starts with."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.cache_entries import document, identifier
from benchmarks.contestants.answers import Known

PARTITIONS: Final = 8
COMMIT_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Job:
    """The command line of a contestant."""

    servers: str
    source: str
    answers: str
    group: str
    #: The directory's base URL, for identifiers that are not known.
    api: str
    #: How many customers it knows from the start.
    customers: int
    workdir: Path
    #: Answer without ids and headers.
    bare: bool
    #: Settings for throughput instead of the defaults.
    tuned: bool

    def known(self) -> dict[str, Known]:
        """The customers by their identifiers."""
        return {identifier(it): Known.of(document(it)) for it in range(self.customers)}


def job() -> Job:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    for name in ("servers", "source", "answers", "group", "api"):
        parser.add_argument(f"--{name}", required=name != "api", default="")
    parser.add_argument("--customers", type=int, default=0)
    parser.add_argument("--workdir", type=Path, default=Path())
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--tuned", action="store_true")
    return Job(**vars(parser.parse_args()))
