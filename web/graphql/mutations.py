"""The mutations: each writes one event. `success` means that the broker acknowledged it."""

import uuid
from dataclasses import dataclass
from typing import Any

import graphene

from posstream.domain.cache_maintenance import InvalidEviction, eviction
from posstream.domain.errors import PublishFailed
from posstream.domain.identifier import Identifier, normalise
from posstream.events import basket_started, commanded, identified
from posstream.ports import Record
from web.graphql.breaker import ControlBreaker
from web.graphql.configuration import UpdatePluginConfiguration
from web.graphql.context import MAX_TEXT, GraphQLContext, is_sound
from web.graphql.forget import ForgetCustomer
from web.graphql.types import MutationError


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal by the rules of the trade, for the field `error`."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a mutation answers."""

    success: bool
    basket_id: str | None = None
    event_id: str | None = None
    error: Refused | None = None


class StartBasket(graphene.Mutation):  # graphene is untyped
    """Start a basket at a till."""

    class Arguments:
        """Who starts it, and where."""

        employee_id = graphene.Int(required=True)
        terminal_id = graphene.String(required=True)

    success = graphene.Boolean(required=True)
    basket_id = graphene.String()
    event_id = graphene.String()
    error = graphene.Field(MutationError)

    @staticmethod
    async def mutate(_root: None, info: Any, employee_id: int, terminal_id: str) -> Outcome:
        """Write `basket-started` under a new basket id."""
        context: GraphQLContext = info.context
        if not is_sound(terminal_id):
            return _refused("INVALID_TERMINAL_ID", _unsound("terminalId"))
        basket_id = f"basket_{uuid.uuid4().hex[:12]}"
        record = basket_started(basket_id, employee_id, terminal_id, context.clock.now_ms())
        return await _published(context, record, basket_id)


class IdentifyCustomer(graphene.Mutation):  # graphene is untyped
    """Say which customer a basket belongs to. The basket may be one not seen yet."""

    class Arguments:
        """The basket and what was scanned."""

        basket_id = graphene.String(required=True)
        customer_identifier = graphene.String(required=True)

    success = graphene.Boolean(required=True)
    event_id = graphene.String()
    error = graphene.Field(MutationError)

    @staticmethod
    async def mutate(_root: None, info: Any, basket_id: str, customer_identifier: str) -> Outcome:
        """Write `customer-identified` with the normalised identifier."""
        context: GraphQLContext = info.context
        if not is_sound(basket_id):
            return _refused("INVALID_BASKET_ID", _unsound("basketId"))
        found = normalise(customer_identifier, card_guard=context.card_guard)
        if not isinstance(found, Identifier):
            return _refused("INVALID_IDENTIFIER", f"{found.masked} is refused: {found.why}")
        record = identified(basket_id, found.value, context.clock.now_ms())
        return await _published(context, record)


class EvictCustomer(graphene.Mutation):  # graphene is untyped
    """Forget cached customers: one, those whose identifiers start alike, or all."""

    class Arguments:
        """Exactly one of them."""

        identifier = graphene.String(description="In any spelling.")
        prefix = graphene.String(description="The start of normalised identifiers.")
        all = graphene.Boolean()

    success = graphene.Boolean(required=True)
    error = graphene.Field(MutationError)

    @staticmethod
    async def mutate(
        _root: None,
        info: Any,
        identifier: str | None = None,
        prefix: str | None = None,
        all: bool | None = None,  # noqa: A002, FBT001 - the schema's name
    ) -> Outcome:
        """Write the cache command; the workers that have the entries remove them."""
        context: GraphQLContext = info.context
        command = eviction(
            identifier=identifier,
            prefix=prefix,
            everything=bool(all),
            card_guard=context.card_guard,
        )
        if isinstance(command, InvalidEviction):
            return _refused(command.code, command.why)
        try:
            for record in commanded(command, context.partitions):
                await context.publisher.publish(record)
        except PublishFailed:
            return _unacknowledged()
        return Outcome(success=True)


class Mutation(graphene.ObjectType):  # graphene is untyped
    """What a till may tell posstream."""

    start_basket = StartBasket.Field()
    identify_customer = IdentifyCustomer.Field()
    update_plugin_configuration = UpdatePluginConfiguration.Field()
    evict_customer = EvictCustomer.Field()
    forget_customer = ForgetCustomer.Field()
    control_breaker = ControlBreaker.Field()


async def _published(
    context: GraphQLContext, record: Record, basket_id: str | None = None
) -> Outcome:
    try:
        await context.publisher.publish(record)
    except PublishFailed:
        return _unacknowledged()
    event_id = dict(record.headers)["ce_id"].decode()
    return Outcome(success=True, basket_id=basket_id, event_id=event_id)


def _unacknowledged() -> Outcome:
    return _refused("BROKER_UNAVAILABLE", "the broker did not acknowledge the event; try again")


def _refused(code: str, message: str) -> Outcome:
    return Outcome(success=False, error=Refused(code, message))


def _unsound(name: str) -> str:
    return f"{name} must be 1 to {MAX_TEXT} printable characters"
