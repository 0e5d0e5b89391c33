"""What a value of the live configuration does, in words for people. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from posstream.resilience.breaker import Rules

_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400


def span(seconds: float) -> str:
    """A length of time: `0.05 s`, `90 s`, `5 min`, `1 h`, `1 day`."""
    for unit, name in ((_DAY, "day"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit and seconds % unit == 0:
            number = int(seconds // unit)
            return f"{number} {name}" + ("s" if name == "day" and number > 1 else "")
    return f"{seconds:g} s"


def worded(key: str, value: Any) -> str:
    """A value as people say it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return span(value) if key.endswith("_seconds") else str(value)


def effect(key: str, value: Any) -> str:
    """What happens from now on."""
    return _EFFECTS[key](value)


def _timeout(value: float) -> str:
    return f"Each HTTP attempt is given up after {span(value)}."


def _attempts(value: int) -> str:
    if value == 1:
        return "A call that fails is not tried again."
    return f"A call that fails is tried again, {value} attempts in all, while the deadline lets it."


def _fresh(value: float) -> str:
    if value == 0:
        return "Every scan asks the directory."
    return f"A customer who was fetched is served for {span(value)} without asking the directory."


def _stale(value: float) -> str:
    return f"When the directory fails, nothing older than {span(value)} is served."


def _unknown(value: float) -> str:
    if value == 0:
        return "An unknown identifier is asked for at every scan."
    return f"An unknown identifier is not asked for again for {span(value)}."


_EFFECTS: Final[Mapping[str, Callable[[Any], str]]] = {
    "enabled": lambda on: (
        "Scans are looked up." if on else "Every scan is answered DISABLED, without a call."
    ),
    "api_endpoint": lambda _: (
        "Calls go to the new address, with a breaker that starts closed. Cached customers stay."
    ),
    "timeout_seconds": _timeout,
    "retry_attempts": _attempts,
    "cache_ttl_seconds": _fresh,
    "fallback_to_cache_on_error": lambda on: (
        "When the directory fails, the stale window stands in."
        if on
        else "When the directory fails, scans fail as well; the stale window is not served."
    ),
    "stale_ttl_seconds": _stale,
    "negative_ttl_seconds": _unknown,
    "deadline_seconds": lambda value: f"A till has its answer after {span(value)} at the latest.",
    "max_concurrent_lookups": lambda value: (
        f"Each worker makes at most {value} calls at a time; more wait."
    ),
    "default_country_code": lambda code: (
        "A national phone number stays as it was scanned."
        if code is None
        else f"The trunk 0 of a national phone number becomes +{code}."
    ),
}


def breaker_rules(rules: Rules) -> str:
    """When a breaker opens and closes by itself."""
    return (
        f"Opens when {rules.failure_ratio:.0%} of at least {rules.calls} calls in "
        f"{span(rules.window_seconds)} fail; tries again after {span(rules.open_seconds)}."
    )
