"""Reads and checks the fault parameters of the mock directory."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

_MAX_DELAY_MS: Final = 600_000
_MAX_RETRY_AFTER: Final = 86_400


class Body(StrEnum):
    """What may be wrong with a body."""

    INVALID = "invalid"
    HTML = "html"
    HUGE = "huge"
    SLOW = "slow"


@dataclass(frozen=True, slots=True)
class Faults:
    """The faults that one request asks for."""

    delay_ms: int = 0
    #: Longest random addition to the delay.
    jitter_ms: int = 0
    #: Status of every failure. Alone, it makes every answer a failure.
    status: int | None = None
    #: Share of answers that fail, 0 to 1.
    error_rate: float | None = None
    #: Seconds in the `Retry-After` header of failures. Alone, it makes every answer a 503.
    retry_after: int | None = None
    body: Body | None = None
    #: Make up a customer for any well-formed identifier.
    generate: bool = False

    @property
    def take_time(self) -> bool:
        """Whether the answer is delayed, slow or long."""
        return bool(self.delay_ms or self.jitter_ms or self.body in {Body.SLOW, Body.HUGE})


@dataclass(frozen=True, slots=True)
class BadFault:
    """A parameter with a value that is refused."""

    parameter: str
    why: str


def read_faults(query: Mapping[str, str]) -> Faults | BadFault:
    """Read the fault parameters of a query string; parameters of other names are ignored."""
    values: dict[str, Any] = {}
    for name, (lowest, highest) in _WHOLE_NUMBERS.items():
        raw = query.get(name)
        if raw is None:
            continue
        if not re.fullmatch(r"[0-9]{1,9}", raw) or not lowest <= int(raw) <= highest:
            return BadFault(name, f"must be a whole number from {lowest} to {highest}")
        values[name] = int(raw)
    if "error_rate" in query:
        raw = query["error_rate"]
        if not re.fullmatch(r"[0-9]*\.?[0-9]+", raw) or not 0 <= float(raw) <= 1:
            return BadFault("error_rate", "must be a number from 0 to 1")
        values["error_rate"] = float(raw)
    if "body" in query:
        if query["body"] not in list(Body):
            return BadFault("body", "must be one of " + ", ".join(Body))
        values["body"] = Body(query["body"])
    if "generate" in query:
        if query["generate"] not in {"0", "1"}:
            return BadFault("generate", "must be 0 or 1")
        values["generate"] = query["generate"] == "1"
    return Faults(**values)


#: name -> (lowest, highest)
_WHOLE_NUMBERS: Final[Mapping[str, tuple[int, int]]] = {
    "delay_ms": (0, _MAX_DELAY_MS),
    "jitter_ms": (0, _MAX_DELAY_MS),
    "status": (200, 599),
    "retry_after": (0, _MAX_RETRY_AFTER),
}
