"""The figures of the scenarios: printed, and kept as lines of JSON for `guarantees`."""

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

import orjson

from tests.chaos.ledger import COLUMNS, Count

VARIABLE = "POSSTREAM_CHAOS_REPORT"


@dataclass(frozen=True)
class Result:
    """One scenario that was played."""

    module: str
    title: str
    #: Which of a scenario's variants.
    variant: str
    seed: int
    seconds: int
    #: What was measured besides, in words.
    note: str
    count: Count

    def __str__(self) -> str:
        figures = " ".join(f"{name} {getattr(self.count, name)}" for name in COLUMNS)
        name = f"{self.title} {self.variant}".rstrip()
        return f"{name} {figures} (seed {self.seed}, {self.seconds} s) {self.note}".rstrip()


def keep(result: Result) -> None:
    """Add a result to the file that POSSTREAM_CHAOS_REPORT names, if it does."""
    path = os.environ.get(VARIABLE)
    if path:
        with Path(path).open("ab") as lines:
            lines.write(orjson.dumps(dataclasses.asdict(result)) + b"\n")


def kept(path: Path) -> list[Result]:
    """The results of a file, the last one of each scenario."""
    results: dict[tuple[str, str, str], Result] = {}
    for line in path.read_bytes().splitlines():
        value = orjson.loads(line)
        result = Result(**value | {"count": Count(**value["count"])})
        results[result.module, result.title, result.variant] = result
    return list(results.values())
