"""The live configuration of the plugin `customer_lookup`: its schema, checks and current version.

The keys, defaults and meanings are the contract's (section 4). Values are checked as a whole:
an edit with one bad key changes nothing.
"""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from agents.customer_lookup.directory.endpoint import MAX_ENDPOINT, check_endpoint
from posstream.domain.errors import InvalidConfiguration
from posstream.domain.payment_card import mask_payment_cards
from tables.freshness import Windows

PLUGIN: Final = "customer_lookup"
#: No window may outlive the changelog's retention (`topics.CACHE_RETENTION_MS`).
MAX_TTL_SECONDS: Final = 7 * 86_400

#: key -> (lowest, highest) of the numeric keys, in the unit of the key.
RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "timeout_seconds": (0.05, 60),
    "retry_attempts": (1, 10),
    "cache_ttl_seconds": (0, MAX_TTL_SECONDS),
    "stale_ttl_seconds": (0, MAX_TTL_SECONDS),
    "negative_ttl_seconds": (0, MAX_TTL_SECONDS),
    "deadline_seconds": (0.1, 300),
    "max_concurrent_lookups": (1, 10_000),
}
#: Keys whose values are text, also if that is digits only.
TEXTS: Final = frozenset({"api_endpoint", "default_country_code"})
_COUNTRY_CODE: Final = re.compile(r"[1-9][0-9]{0,2}")
_WHOLE: Final = frozenset({"retry_attempts", "max_concurrent_lookups"})


@dataclass(frozen=True, slots=True)
class PluginConfiguration:
    """One version of the live configuration. Durations are seconds."""

    #: Base URL of the directory; the quoted identifier and `/` are appended to its path.
    api_endpoint: str
    timeout_seconds: float = 5
    retry_attempts: int = 2
    cache_ttl_seconds: float = 3600
    fallback_to_cache_on_error: bool = True
    stale_ttl_seconds: float = 86_400
    negative_ttl_seconds: float = 60
    deadline_seconds: float = 12
    max_concurrent_lookups: int = 100
    #: Replaces the trunk 0 of a national phone number, with a `+` before; None: the 0 stays.
    default_country_code: str | None = None
    enabled: bool = True
    #: 0 = the defaults, never edited.
    version: int = 0

    @property
    def windows(self) -> Windows:
        """The windows of the cache, in milliseconds."""
        return _windows(self.cache_ttl_seconds, self.stale_ttl_seconds, self.negative_ttl_seconds)

    def edited(self, config: Mapping[str, Any]) -> "PluginConfiguration":
        """This configuration with some keys changed.

        Raises:
            InvalidConfiguration: naming the first key that is unknown, mistyped or out of range.
        """
        for key, value in config.items():
            _check(key, value)
        return dataclasses.replace(self, **config)


@lru_cache(maxsize=16)  # every lookup asks for them
def _windows(*seconds: float) -> Windows:
    return Windows(*(round(each * 1000) for each in seconds))


#: Every key of `config`, in the contract's order.
KEYS: Final = tuple(
    field.name
    for field in dataclasses.fields(PluginConfiguration)
    if field.name not in {"enabled", "version"}
)


#: key -> (title, what it means), for people.
_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "api_endpoint": (
        "Address of the directory",
        "Base URL; the quoted identifier and / are appended to its path.",
    ),
    "timeout_seconds": ("Timeout", "Seconds that each HTTP attempt may take."),
    "retry_attempts": ("Attempts", "HTTP attempts in all, the first one counted."),
    "cache_ttl_seconds": (
        "Fresh window",
        "Seconds in which a cached customer is served without a call.",
    ),
    "fallback_to_cache_on_error": (
        "Stale on error",
        "Serve the stale window when the directory fails.",
    ),
    "stale_ttl_seconds": (
        "Stale window",
        "Seconds since the fetch; nothing older is ever served.",
    ),
    "negative_ttl_seconds": (
        "Memory of unknowns",
        "Seconds in which an unknown identifier is not asked for again.",
    ),
    "deadline_seconds": ("Deadline", "Seconds after which every event has its answer."),
    "max_concurrent_lookups": ("Calls at a time", "API calls in flight per worker."),
    "default_country_code": (
        "Country code of national phones",
        "Digits that replace the trunk 0 of a phone number, with a + before. Empty: the 0 stays.",
    ),
}


def json_schema(defaults: PluginConfiguration) -> dict[str, Any]:
    """The keys of `config` as a JSON Schema (draft 2020-12) that forms are made from.

    Args:
        defaults: this worker's own, for `default`.
    """
    properties: dict[str, Any] = {}
    for key, (title, description) in _WORDS.items():
        default = getattr(defaults, key)
        known: dict[str, Any] = {"title": title, "description": description, "default": default}
        properties[key] = known
        if key in RANGES:
            known["type"] = "integer" if key in _WHOLE else "number"
            known["minimum"], known["maximum"] = RANGES[key]
        elif isinstance(default, bool):
            known["type"] = "boolean"
        elif key == "default_country_code":
            known |= {"type": "string", "pattern": f"^{_COUNTRY_CODE.pattern}$"}
        else:
            known |= {"type": "string", "format": "uri", "maxLength": MAX_ENDPOINT}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Live configuration of {PLUGIN}",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }


def _check(key: str, value: object) -> None:
    if key == "api_endpoint":
        why = check_endpoint(value)
        if why is not None:
            raise InvalidConfiguration(key, why)
        return
    if key == "fallback_to_cache_on_error":
        if not isinstance(value, bool):
            raise InvalidConfiguration(key, "must be true or false")
        return
    if key == "default_country_code":
        if value is not None and not (isinstance(value, str) and _COUNTRY_CODE.fullmatch(value)):
            raise InvalidConfiguration(key, "must be 1 to 3 digits as text, the first no 0")
        return
    if key not in RANGES:
        raise InvalidConfiguration(mask_payment_cards(key), "is not a key of this configuration")
    lowest, highest = RANGES[key]
    whole = key in _WHOLE
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not lowest <= value <= highest:
        what = "a whole number" if whole else "a number"
        raise InvalidConfiguration(key, f"must be {what} from {lowest:g} to {highest:g}")
