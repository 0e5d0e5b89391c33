"""Erasure: forget one customer, and report what was removed where."""

from typing import Any, Final

import graphene

from posstream.domain.errors import BrokerUnreachable, PublishFailed
from posstream.domain.identifier import Identifier
from posstream.domain.times import from_ms
from posstream.forgetting.forgetting import Unconfirmed
from web.graphql.context import GraphQLContext, Refused, count_lookup
from web.graphql.types import ContractType, MutationError

#: How long an answer waits for the workers, in seconds: proxies give up after some more.
PATIENCE_SECONDS: Final = 8.0


class RemovedRows(graphene.ObjectType):  # graphene is untyped
    """How many rows of a table went."""

    table = graphene.String(required=True)
    rows = graphene.Int(required=True, description="Of baskets: those that lost their customer.")


class HoldingTopic(ContractType):  # graphene is untyped
    """A topic that still holds events of the customer: nobody can remove single ones from it."""

    topic = graphene.String(required=True)
    until = graphene.String(
        required=True, description="ISO-8601, UTC; unless the topic's retention was changed."
    )


class ErasureReport(ContractType):  # graphene is untyped
    """What was removed where, and what could not be."""

    forgotten_at = graphene.String(
        required=True, description="ISO-8601, UTC. Scans after that are a new customer's."
    )
    forgotten_identifiers = graphene.Int(required=True, description="How many led to the customer.")
    cache_entries = graphene.Int(required=True)
    rows = graphene.List(graphene.NonNull(RemovedRows), required=True)
    newer_rows = graphene.Int(required=True, description="Of scans since then.")
    topics = graphene.List(graphene.NonNull(HoldingTopic), required=True)


class ForgetCustomer(graphene.Mutation):  # graphene is untyped
    """Forget the customer behind an identifier, with every identifier that is known of them."""

    class Arguments:
        """Who."""

        identifier = graphene.String(required=True, description="In any spelling.")

    success = graphene.Boolean(required=True, description="Whether all of it is done.")
    report = graphene.Field(ErasureReport)
    error = graphene.Field(MutationError)

    @staticmethod
    async def mutate(_root: None, info: Any, identifier: str) -> "ForgetCustomer":
        """Write the commands, and wait until the workers and the read model have done them."""
        context: GraphQLContext = info.context
        found = context.normalise(identifier)
        if not isinstance(found, Identifier):
            return _refused("INVALID_IDENTIFIER", f"{found.masked} is refused: {found.why}")
        count_lookup(context, "forgetCustomer")
        try:
            outcome = await context.forgetting.forget(
                found.value, patience_seconds=PATIENCE_SECONDS
            )
        except (PublishFailed, BrokerUnreachable):
            return _refused("BROKER_UNAVAILABLE", "the broker did not acknowledge it; try again")
        if isinstance(outcome, Unconfirmed):
            return _refused("UNCONFIRMED", outcome.why)
        report = {
            "forgotten_at": from_ms(outcome.forgotten_at_ms),
            # A number: the identifiers themselves are in no answer.
            "forgotten_identifiers": outcome.identifiers,
            "cache_entries": outcome.cache_entries,
            "rows": [{"table": table, "rows": rows} for table, rows in outcome.rows.items()],
            "newer_rows": outcome.newer_rows,
            "topics": [{"topic": it.topic, "until": from_ms(it.until_ms)} for it in outcome.topics],
        }
        error = Refused("PLUGIN_FAILED", outcome.trouble) if outcome.failed else None
        return ForgetCustomer(success=error is None, report=report, error=error)


def _refused(code: str, message: str) -> ForgetCustomer:
    return ForgetCustomer(success=False, error=Refused(code, message))
