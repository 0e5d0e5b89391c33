"""Where an answer came from, why there is none, how an attempt ended: the contract's words."""

from enum import StrEnum
from typing import Final


class Source(StrEnum):
    """Where an answer came from."""

    CACHE = "CACHE"
    API = "API"
    STALE_CACHE = "STALE_CACHE"


class Reason(StrEnum):
    """Why there is no customer in an answer."""

    NOT_FOUND = "NOT_FOUND"
    TIMEOUT = "TIMEOUT"
    API_ERROR = "API_ERROR"
    INVALID_RESPONSE = "INVALID_RESPONSE"
    CIRCUIT_OPEN = "CIRCUIT_OPEN"
    DEADLINE = "DEADLINE"
    OVERLOADED = "OVERLOADED"
    DISABLED = "DISABLED"
    INVALID_IDENTIFIER = "INVALID_IDENTIFIER"


class AttemptStatus(StrEnum):
    """How one HTTP attempt ended. A 404 is NOT_FOUND: a right answer, not a failure."""

    SUCCESS = "SUCCESS"
    NOT_FOUND = "NOT_FOUND"
    FAILED = "FAILED"
    TIMEOUT = "TIMEOUT"


#: Attempts that the directory owes an answer.
FAILED_ATTEMPTS: Final = (AttemptStatus.FAILED, AttemptStatus.TIMEOUT)
