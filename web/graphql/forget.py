"""Erasure: forget one customer, and report what was removed where."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import graphene

from posstream.domain.errors import BrokerUnreachable, PublishFailed
from posstream.domain.identifier import Identifier
from posstream.domain.times import from_ms, iso_utc
from posstream.forgetting.forgetting import ForgetReport, Unconfirmed
from web.graphql.context import GraphQLContext, Refused, count_lookup
from web.graphql.types import MutationError

#: How long an answer waits for the workers, in seconds: proxies give up after some more.
PATIENCE_SECONDS: Final = 8.0


@dataclass(frozen=True, slots=True)
class Removed:
    """Of one table."""

    table: str
    rows: int


@dataclass(frozen=True, slots=True)
class Held:
    """One topic that still has events."""

    topic: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Report:
    """`ForgetReport` as GraphQL tells it."""

    forgotten_at: datetime
    identifiers: int
    cache_entries: int
    rows: Sequence[Removed]
    newer_rows: int
    topics: Sequence[Held]

    @classmethod
    def of(cls, report: ForgetReport) -> "Report":
        """The same facts."""
        return cls(
            forgotten_at=from_ms(report.forgotten_at_ms),
            identifiers=report.identifiers,
            cache_entries=report.cache_entries,
            rows=[Removed(table, rows) for table, rows in report.rows.items()],
            newer_rows=report.newer_rows,
            topics=[Held(it.topic, from_ms(it.until_ms)) for it in report.topics],
        )


@dataclass(frozen=True, slots=True)
class Erased:
    """What the mutation answers."""

    success: bool
    report: Report | None = None
    error: Refused | None = None


class RemovedRows(graphene.ObjectType):  # graphene is untyped
    """How many rows of a table went."""

    table = graphene.String(required=True)
    rows = graphene.Int(required=True, description="Of baskets: those that lost their customer.")


class HoldingTopic(graphene.ObjectType):  # graphene is untyped
    """A topic that still holds events of the customer: nobody can take single ones out."""

    topic = graphene.String(required=True)
    until = graphene.String(
        required=True, description="ISO-8601, UTC; unless the topic's retention was changed."
    )

    @staticmethod
    def resolve_until(held: Held, _info: Any) -> str:
        """As the contract writes times."""
        return iso_utc(held.until)


class ErasureReport(graphene.ObjectType):  # graphene is untyped
    """What was removed where, and what could not be."""

    forgotten_at = graphene.String(
        required=True, description="ISO-8601, UTC. Scans after that are a new customer's."
    )
    forgotten_identifiers = graphene.Int(required=True, description="How many led to the customer.")
    cache_entries = graphene.Int(required=True)
    rows = graphene.List(graphene.NonNull(RemovedRows), required=True)
    newer_rows = graphene.Int(required=True, description="Of scans since then.")
    topics = graphene.List(graphene.NonNull(HoldingTopic), required=True)

    @staticmethod
    def resolve_forgotten_at(report: Report, _info: Any) -> str:
        """As the contract writes times."""
        return iso_utc(report.forgotten_at)

    @staticmethod
    def resolve_forgotten_identifiers(report: Report, _info: Any) -> int:
        """A number: the identifiers themselves are in no answer."""
        return report.identifiers


class ForgetCustomer(graphene.Mutation):  # graphene is untyped
    """Erase the customer behind an identifier, with every identifier that is known of them."""

    class Arguments:
        """Who."""

        identifier = graphene.String(required=True, description="In any spelling.")

    success = graphene.Boolean(required=True, description="Whether all of it is done.")
    report = graphene.Field(ErasureReport)
    error = graphene.Field(MutationError)

    @staticmethod
    async def mutate(_root: None, info: Any, identifier: str) -> Erased:
        """Write the commands, and wait until the workers and the read model have done them."""
        context: GraphQLContext = info.context
        found = context.normalise(identifier)
        if not isinstance(found, Identifier):
            return _refused("INVALID_IDENTIFIER", f"{found.masked} is refused: {found.why}")
        count_lookup(context, "forgetCustomer")
        return await _forgotten(context, found)


async def _forgotten(context: GraphQLContext, found: Identifier) -> Erased:
    try:
        outcome = await context.forgetting.forget(found.value, patience_seconds=PATIENCE_SECONDS)
    except (PublishFailed, BrokerUnreachable):
        return _refused("BROKER_UNAVAILABLE", "the broker did not acknowledge it; try again")
    if isinstance(outcome, Unconfirmed):
        return _refused("UNCONFIRMED", outcome.why)
    report = Report.of(outcome)
    if outcome.failed:
        return Erased(success=False, report=report, error=Refused("PLUGIN_FAILED", outcome.trouble))
    return Erased(success=True, report=report)


def _refused(code: str, message: str) -> Erased:
    return Erased(success=False, error=Refused(code, message))
