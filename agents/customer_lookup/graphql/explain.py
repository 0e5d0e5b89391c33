"""Why a till got its answer: the timeline of a basket."""

from typing import Any

import graphene

from agents.customer_lookup.graphql.types import Basket
from agents.customer_lookup.lookup_ports import lookup_ports
from agents.customer_lookup.read_model.records import BasketHistory
from agents.customer_lookup.shown_records import show_detail
from agents.customer_lookup.timeline import Entry, Step, timeline
from web.graphql.context import GraphQLContext, is_sound
from web.graphql.types import ContractType, JSONString

_STEPS = {
    Step.STARTED: "The basket was started at a till.",
    Step.IDENTIFIED: "A customer was scanned.",
    Step.NORMALISED: "What the scan was read as, or why it was refused.",
    Step.CACHE: "What the cache had.",
    Step.BREAKER: "The circuit breaker let no call through.",
    Step.NO_CALL: "No call was made or ended in time, for another reason.",
    Step.SHARED_CALL: "It waited for a call that another basket led.",
    Step.ATTEMPT: "One HTTP attempt at the directory.",
    Step.ANSWERED: "The terminal answer.",
    Step.STORED: "The customer that the basket has in SQL.",
}
TimelineStep = graphene.Enum(
    "TimelineStep",
    [(step.name, step.value) for step in Step],
    description=lambda step: _STEPS[Step(step.value)] if step else "What an entry is about.",
)


class Detail(graphene.ObjectType):  # graphene is untyped
    """A name and a value, for people."""

    key = graphene.String(required=True)
    value = graphene.String(required=True)


class TimelineEntry(ContractType):  # graphene is untyped
    """One step on the way to an answer."""

    at = graphene.String(
        description="ISO-8601, UTC, by the clock of the machine that took the step."
    )
    kind = graphene.Field(TimelineStep, required=True)
    title = graphene.String(required=True)
    detail = graphene.List(
        graphene.NonNull(Detail), required=True, description="In the order to show them in."
    )
    raw = JSONString(description="The record that the entry was read from.")

    @staticmethod
    def resolve_kind(entry: Entry, _info: Any) -> str:
        """What it is about."""
        return entry.step.value

    @staticmethod
    def resolve_detail(entry: Entry, info: Any) -> list[dict[str, str]]:
        """Names and values, as the caller may see them."""
        context: GraphQLContext = info.context
        return [{"key": key, "value": value} for key, value in show_detail(context.reveals, entry)]


class LookupExplanation(graphene.ObjectType):  # graphene is untyped
    """Why the till of a basket got its answers."""

    basket_id = graphene.ID(required=True)
    basket = graphene.Field(Basket)
    timeline = graphene.List(
        graphene.NonNull(TimelineEntry),
        required=True,
        description="In the order of cause: its start, each lookup, and what is stored.",
    )

    @staticmethod
    def resolve_timeline(history: BasketHistory, _info: Any) -> list[Entry]:
        """Told from what the read model kept."""
        return timeline(history)


class ExplainQuery(graphene.ObjectType):  # graphene is untyped
    """The part of `Query` that says why."""

    explain_lookup = graphene.Field(
        LookupExplanation,
        basket_id=graphene.ID(required=True),
        description="Why the till of this basket got its answers, the newest 50 of them. "
        "Null if nothing of the basket was seen.",
    )

    @staticmethod
    async def resolve_explain_lookup(
        _root: None, info: Any, basket_id: str
    ) -> BasketHistory | None:
        """From the read model alone, so any worker can say it."""
        context: GraphQLContext = info.context
        if not is_sound(basket_id):
            return None
        return await lookup_ports(context).read_model.basket_history(basket_id)
