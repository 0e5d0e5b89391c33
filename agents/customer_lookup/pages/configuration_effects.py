"""What a value of the live configuration does, in words for people. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from posstream.resilience.breaker import Rules
from web.console.numbers import span


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
