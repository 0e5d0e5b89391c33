"""What was measured, in one file: each measure with the conditions of its own last run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from benchmarks.conditions import conditions
from benchmarks.setting import Setting

FILE: Final = Path(".data/bench.json")
_PEERS: Final = (
    "confluent-kafka",
    "quixstreams",
    "faststream",
    "orjson",
    "uvloop",
    "psycopg",
    "psycopg2-binary",
    "asyncpg",
    "aiohttp",
    "graphql-core",
    "strawberry-graphql",
    "fastapi",
    "uvicorn",
)


@dataclass(frozen=True, slots=True)
class Kept:
    """The last run of one measure."""

    conditions: dict[str, str]
    rounds: int
    #: How long it took.
    seconds: float
    found: dict[str, Any]


def keep(path: Path, name: str, found: dict[str, Any], *, setting: Setting, seconds: float) -> None:
    """Put the run of a measure in the place of its last one."""
    everything = _read(path)
    everything[name] = {
        "conditions": conditions(_PEERS),
        "rounds": setting.rounds,
        "seconds": round(seconds, 1),
        "found": found,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(everything, option=orjson.OPT_INDENT_2))


def kept(path: Path) -> dict[str, Kept]:
    """The measures of a file by their names; none if there is no file."""
    return {name: Kept(**value) for name, value in _read(path).items()}


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    everything: dict[str, Any] = orjson.loads(path.read_bytes())
    return everything
