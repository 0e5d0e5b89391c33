"""What lookups cost and what they were spared, over a window of time up to now."""

from datetime import timedelta
from typing import Any, Final

import graphene

from agents.customer_lookup.lookup_ports import lookup_ports
from posstream.domain.times import from_ms
from web.graphql.context import GraphQLContext, refusal
from web.graphql.types import ContractType

#: The longest window: as long as the topics keep what it is counted from.
MAX_WINDOW_SECONDS: Final = 604_800
_DEFAULT_SECONDS: Final = 3600


class ReasonCount(graphene.ObjectType):  # graphene is untyped
    """How often lookups failed for one reason."""

    reason = graphene.String(required=True)
    count = graphene.Int(required=True)


class LookupStats(ContractType):  # graphene is untyped
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
        description="The share of lookups that needed no call because the cache was fresh: a "
        "customer, or a remembered unknown. Null without lookups."
    )
    api_attempts = graphene.Int(
        required=True, description="HTTP attempts, repeats and refreshes ahead counted too."
    )
    api_failures = graphene.Int(
        required=True, description="Those that ended FAILED or TIMEOUT; a 404 is an answer."
    )
    api_p50_ms = graphene.Int(description="Half of the attempts took at most this long.")
    api_p95_ms = graphene.Int(description="95 of 100 attempts took at most this long.")
    calls_saved_by_cache = graphene.Int(
        required=True, description="Lookups answered by the fresh cache, unknowns counted too."
    )
    calls_saved_by_coalescing = graphene.Int(
        required=True, description="Lookups that waited for a call of another one (single flight)."
    )


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
    ) -> dict[str, object]:
        """The counts up to now; an explicit null is the default."""
        context: GraphQLContext = info.context
        seconds = _DEFAULT_SECONDS if window_seconds is None else window_seconds
        if not 1 <= seconds <= MAX_WINDOW_SECONDS:
            raise refusal("BAD_USER_INPUT", f"windowSeconds must be from 1 to {MAX_WINDOW_SECONDS}")
        until = from_ms(context.clock.now_ms())
        since = until - timedelta(seconds=seconds)
        counted = await lookup_ports(context).read_model.lookup_statistics(since)
        return {"window_seconds": seconds, "since": since, "until": until, **counted.figures()}
