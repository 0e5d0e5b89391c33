"""What lookups cost and what they were spared, over a window of time up to now."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import graphene

from agents.customer_lookup.answers import AttemptStatus, Reason
from agents.customer_lookup.graphql.ports import lookup_ports
from agents.customer_lookup.lookup_split import LookupSplit, split
from agents.customer_lookup.read_model.records import LookupStatistics
from posstream.domain.times import from_ms, iso_utc
from web.graphql.context import GraphQLContext, refusal
from web.graphql.types import whole

#: The longest window: as long as the topics keep what it is counted from.
MAX_WINDOW_SECONDS: Final = 604_800
_DEFAULT_SECONDS: Final = 3600
_API_FAILURES: Final = frozenset({AttemptStatus.FAILED, AttemptStatus.TIMEOUT})


@dataclass(frozen=True, slots=True)
class Window:
    """Counts, and where they begin and end."""

    window_seconds: int
    since: str
    until: str
    counted: LookupStatistics

    @property
    def split(self) -> LookupSplit:
        """What the answers were."""
        return split(self.counted.answers)

    @property
    def reasons(self) -> dict[str, int]:
        """How many answers had each reason, NOT_FOUND among them, the most frequent first."""
        counts: dict[str, int] = {}
        for (_, reason), count in self.counted.answers.items():
            if reason is not None:
                counts[reason] = counts.get(reason, 0) + count
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


class ReasonCount(graphene.ObjectType):  # graphene is untyped
    """How often lookups failed for one reason."""

    reason = graphene.String(required=True)
    count = graphene.Int(required=True)


class LookupStats(graphene.ObjectType):  # graphene is untyped
    """Lookups answered, and attempts at the directory begun, within the window; by all workers.

    lookups = fresh + stale + api + unknown + failed.
    """

    window_seconds = graphene.Int(required=True)
    since = graphene.String(required=True, description="ISO-8601, UTC.")
    until = graphene.String(required=True, description="ISO-8601, UTC.")
    lookups = graphene.Int(required=True, description="Terminal answers, each event's once.")
    fresh = graphene.Int(
        required=True, description="Customers from the fresh window of the cache (CACHE)."
    )
    stale = graphene.Int(
        required=True,
        description="Customers from the stale window, as the directory failed (STALE_CACHE).",
    )
    api = graphene.Int(
        required=True, description="Customers from the directory, or from a call shared (API)."
    )
    unknown = graphene.Int(
        required=True, description="The directory does not know the identifier (NOT_FOUND)."
    )
    failed = graphene.Int(required=True, description="No customer, for any other reason.")
    failures = graphene.List(
        graphene.NonNull(ReasonCount),
        required=True,
        description="The failed ones by reason, the most frequent first.",
    )
    hit_ratio = graphene.Float(
        description="The share of lookups that were spared a call because the cache was fresh: a "
        "customer, or a remembered unknown. Null without lookups."
    )
    api_attempts = graphene.Int(
        required=True, description="HTTP attempts, repeats and refreshes ahead counted too."
    )
    api_failures = graphene.Int(
        required=True, description="Those that ended FAILED or TIMEOUT; a 404 is an answer."
    )
    api_p50_ms = graphene.Int(description="Half of the attempts took at most so long.")
    api_p95_ms = graphene.Int(description="95 of 100 attempts took at most so long.")
    calls_saved_by_cache = graphene.Int(
        required=True, description="Lookups answered by the fresh cache, unknowns counted too."
    )
    calls_saved_by_coalescing = graphene.Int(
        required=True, description="Lookups that waited for a call of another one (single flight)."
    )

    @staticmethod
    def resolve_lookups(window: Window, _info: Any) -> int:
        """All answers."""
        return whole("lookups", window.split.lookups)

    @staticmethod
    def resolve_fresh(window: Window, _info: Any) -> int:
        """Found in the fresh window."""
        return whole("fresh", window.split.fresh)

    @staticmethod
    def resolve_stale(window: Window, _info: Any) -> int:
        """Found in the stale window."""
        return whole("stale", window.split.stale)

    @staticmethod
    def resolve_api(window: Window, _info: Any) -> int:
        """Found by the directory."""
        return whole("api", window.split.api)

    @staticmethod
    def resolve_unknown(window: Window, _info: Any) -> int:
        """Unknown to the directory, now or remembered."""
        return whole("unknown", window.split.unknown)

    @staticmethod
    def resolve_failed(window: Window, _info: Any) -> int:
        """All failures."""
        return whole("failed", window.split.failed)

    @staticmethod
    def resolve_failures(window: Window, _info: Any) -> list[dict[str, object]]:
        """Each reason."""
        return [{"reason": reason, "count": count} for reason, count in _failures(window)]

    @staticmethod
    def resolve_hit_ratio(window: Window, _info: Any) -> float | None:
        """Of all lookups."""
        return window.split.hit_ratio

    @staticmethod
    def resolve_api_attempts(window: Window, _info: Any) -> int:
        """All attempts."""
        return whole("apiAttempts", sum(window.counted.attempts.values()))

    @staticmethod
    def resolve_api_failures(window: Window, _info: Any) -> int:
        """The attempts that the directory owes an answer."""
        attempts = window.counted.attempts.items()
        failures = sum(count for status, count in attempts if status in _API_FAILURES)
        return whole("apiFailures", failures)

    @staticmethod
    def resolve_api_p50_ms(window: Window, _info: Any) -> int | None:
        """The median."""
        p50_ms = window.counted.p50_ms
        return None if p50_ms is None else whole("apiP50Ms", p50_ms)

    @staticmethod
    def resolve_api_p95_ms(window: Window, _info: Any) -> int | None:
        """The slow ones."""
        p95_ms = window.counted.p95_ms
        return None if p95_ms is None else whole("apiP95Ms", p95_ms)

    @staticmethod
    def resolve_calls_saved_by_cache(window: Window, _info: Any) -> int:
        """Each of them would have been a call."""
        return whole("callsSavedByCache", window.split.hits)

    @staticmethod
    def resolve_calls_saved_by_coalescing(window: Window, _info: Any) -> int:
        """Each of them would have been a call."""
        return whole("callsSavedByCoalescing", window.counted.coalesced)


class StatisticsQuery(graphene.ObjectType):  # graphene is untyped
    """The part of `Query` that counts."""

    lookup_stats = graphene.Field(
        LookupStats,
        required=True,
        window_seconds=graphene.Int(
            default_value=_DEFAULT_SECONDS, description=f"1 to {MAX_WINDOW_SECONDS}."
        ),
        description="What was counted in the last seconds.",
    )

    @staticmethod
    async def resolve_lookup_stats(
        _root: None, info: Any, window_seconds: int | None = None
    ) -> Window:
        """The counts up to now; an explicit null is the default."""
        context: GraphQLContext = info.context
        seconds = _DEFAULT_SECONDS if window_seconds is None else window_seconds
        if not 1 <= seconds <= MAX_WINDOW_SECONDS:
            raise refusal("BAD_USER_INPUT", f"windowSeconds must be from 1 to {MAX_WINDOW_SECONDS}")
        until = from_ms(context.clock.now_ms())
        since = until - timedelta(seconds=seconds)
        counted = await lookup_ports(context).read_model.lookup_statistics(since)
        return Window(seconds, iso_utc(since), iso_utc(until), counted)


def _failures(window: Window) -> list[tuple[str, int]]:
    return [item for item in window.reasons.items() if item[0] != Reason.NOT_FOUND]
