"""The circuit breaker of the worker that is asked: seen, and worked by hand."""

from typing import Any, Final

import graphene

from agents.customer_lookup.breaker_control import work_by_hand
from agents.customer_lookup.lookup_ports import lookup_ports
from posstream.resilience.breaker import State
from web.graphql.context import GraphQLContext

_ACTIONS: Final = {
    "open": "No call until CLOSE or RESET.",
    "close": "Every call, whatever fails, until OPEN or RESET.",
    "reset": "Drop all outcomes and follow the rules again.",
}
BreakerState = graphene.Enum("BreakerState", [(state.name, state.name) for state in State])
BreakerAction = graphene.Enum(
    "BreakerAction",
    [("OPEN", "open"), ("CLOSE", "close"), ("RESET", "reset")],
    description=lambda action: _ACTIONS[action.value] if action else "What to do with it.",
)


class Breaker(graphene.ObjectType):  # graphene is untyped
    """Whether this worker calls the directory."""

    endpoint = graphene.String(required=True, description="The directory that it guards.")
    state = graphene.Field(BreakerState, required=True)
    held = graphene.Boolean(required=True, description="Whether somebody holds it by hand.")


class BreakerQuery(graphene.ObjectType):  # graphene is untyped
    """The part of `Query` that shows the breaker."""

    breaker = graphene.Field(Breaker, required=True)

    @staticmethod
    def resolve_breaker(_root: None, info: Any) -> dict[str, object]:
        """The breaker of this worker."""
        return _shown(info.context)


class ControlBreaker(graphene.Mutation):  # graphene is untyped
    """Hold this worker's breaker open or closed, or give it back to its rules."""

    class Arguments:
        """What to do."""

        action = BreakerAction(required=True)

    success = graphene.Boolean(required=True)
    breaker = graphene.Field(Breaker, required=True)

    @staticmethod
    async def mutate(_root: None, info: Any, action: Any) -> dict[str, object]:
        """Do it at once."""
        context: GraphQLContext = info.context
        await work_by_hand(context, action.value, by=context.caller.name)
        return {"success": True, "breaker": _shown(context)}


def _shown(context: GraphQLContext) -> dict[str, object]:
    endpoint, breaker = lookup_ports(context).breaker()
    return {"endpoint": endpoint, "state": breaker.state.name, "held": breaker.held}
