"""The live configuration of customer_lookup: its keys with types, ranges, titles and defaults.

The keys, defaults and meanings are the contract's (section 4).
"""

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta

from agents.customer_lookup.directory.endpoint import MAX_ENDPOINT, check_endpoint
from posstream.configuration.model import PluginConfiguration
from posstream.configuration.part import ConfigurationPart
from tables.freshness import Windows

if TYPE_CHECKING:
    from agents.customer_lookup.settings import LookupSettings
    from posstream.settings import Settings

#: No window may outlive the changelog's retention (`cache_spec.CACHE_RETENTION_MS`).
MAX_TTL_SECONDS: Final = 7 * 86_400
_COUNTRY_CODE: Final = "^[1-9][0-9]{0,2}$"


def _check_country_code(value: object) -> str | None:
    if value is None or (isinstance(value, str) and re.fullmatch(_COUNTRY_CODE, value)):
        return None
    return "must be 1 to 3 digits as text, the first no 0"


class LookupConfiguration(PluginConfiguration, frozen=True, kw_only=True):
    """One version of the live configuration. Durations are seconds."""

    api_endpoint: Annotated[
        str,
        Meta(
            title="Address of the directory",
            description="Base URL; the quoted identifier and / are appended to its path.",
            max_length=MAX_ENDPOINT,
            extra_json_schema={"format": "uri"},
            extra={"check": check_endpoint},
        ),
    ]
    timeout_seconds: Annotated[
        float,
        Meta(
            title="Timeout", description="Seconds that each HTTP attempt may take.", ge=0.05, le=60
        ),
    ] = 5
    retry_attempts: Annotated[
        int,
        Meta(
            title="Attempts",
            description="HTTP attempts in all, the first one counted.",
            ge=1,
            le=10,
        ),
    ] = 2
    cache_ttl_seconds: Annotated[
        float,
        Meta(
            title="Fresh window",
            description="Seconds in which a cached customer is served without a call.",
            ge=0,
            le=MAX_TTL_SECONDS,
        ),
    ] = 3600
    fallback_to_cache_on_error: Annotated[
        bool,
        Meta(
            title="Stale on error", description="Serve the stale window when the directory fails."
        ),
    ] = True
    stale_ttl_seconds: Annotated[
        float,
        Meta(
            title="Stale window",
            description="Seconds since the fetch; nothing older is ever served.",
            ge=0,
            le=MAX_TTL_SECONDS,
        ),
    ] = 86_400
    negative_ttl_seconds: Annotated[
        float,
        Meta(
            title="Memory of unknowns",
            description="Seconds in which an unknown identifier is not asked for again.",
            ge=0,
            le=MAX_TTL_SECONDS,
        ),
    ] = 60
    deadline_seconds: Annotated[
        float,
        Meta(
            title="Deadline",
            description="Seconds after which every event has its answer.",
            ge=0.1,
            le=300,
        ),
    ] = 12
    max_concurrent_lookups: Annotated[
        int,
        Meta(
            title="Calls at a time", description="API calls in flight per worker.", ge=1, le=10_000
        ),
    ] = 100
    #: None: the trunk 0 of a national phone number stays.
    default_country_code: Annotated[
        Annotated[str, Meta(pattern=_COUNTRY_CODE)] | None,
        Meta(
            title="Country code of national phones",
            description="Digits that replace the trunk 0 of a phone number, with a + before. "
            "Empty: the 0 stays.",
            extra={"check": _check_country_code},
        ),
    ] = None
    enabled: Annotated[
        bool,
        Meta(
            title="Customer lookup",
            description="Off: every scan is answered DISABLED, without a call.",
        ),
    ] = True

    @property
    def windows(self) -> Windows:
        """The windows of the cache, in milliseconds."""
        return _windows(self.cache_ttl_seconds, self.stale_ttl_seconds, self.negative_ttl_seconds)


@lru_cache(maxsize=16)  # every lookup asks for them
def _windows(*seconds: float) -> Windows:
    return Windows(*(round(each * 1000) for each in seconds))


def _defaults(_: "Settings", own: "LookupSettings") -> LookupConfiguration:
    return LookupConfiguration(api_endpoint=own.api_endpoint)


CONFIGURATION: Final = ConfigurationPart(model=LookupConfiguration, defaults=_defaults)
