"""The subscriptions: answers of lookups as they are published, whichever worker gave them."""

from typing import Any

import graphene

from agents.customer_lookup.lookup_ports import lookup_ports
from posstream.domain.errors import BrokerUnreachable, TooManySubscribers
from posstream.kafka.event_feed import EventSubscription, FeedEvent
from web.graphql.context import MAX_TEXT, GraphQLContext, is_sound, refusal
from web.graphql.types import JSONString, whole


class AnsweredCustomer(graphene.ObjectType):  # graphene is untyped
    """The customer of an answer, as its event has it."""

    customer_id = graphene.ID(required=True)
    first_name = graphene.String()
    last_name = graphene.String()
    email = graphene.String()
    phone = graphene.String()
    loyalty_points = graphene.Int(description="Null with an error beyond 32 bits.")
    tier = graphene.String()
    total_purchases = graphene.String(description="Money with two places.")
    last_purchase_date = graphene.String(description="ISO-8601, UTC.")
    attributes = JSONString(description="Every other field that the directory gave.")

    @staticmethod
    def resolve_loyalty_points(customer: dict[str, Any], _info: Any) -> int | None:
        """The points, if GraphQL can say the number."""
        points = customer.get("loyalty_points")
        return whole("loyaltyPoints", points) if isinstance(points, int) else None


class LookupAnswer(graphene.ObjectType):  # graphene is untyped
    """One terminal answer: a record of `customer-data-fetched` or `customer-lookup-failed`."""

    event_id = graphene.ID(
        required=True, description="The same for a repeated answer, of which one is sent."
    )
    event_type = graphene.String(description="CUSTOMER_DATA_FETCHED or CUSTOMER_LOOKUP_FAILED.")
    schema_version = graphene.Int()
    occurred_at = graphene.String(description="When it was answered. ISO-8601, UTC.")
    lookup_id = graphene.ID(required=True)
    basket_id = graphene.ID(required=True)
    customer_identifier = graphene.String(required=True, description="Normalised.")
    identifier_kind = graphene.String(description="PHONE, EMAIL or CARD.")
    identified_at = graphene.String(description="ISO-8601, UTC.")
    source = graphene.String(description="CACHE, API or STALE_CACHE; NONE without a customer.")
    reason = graphene.String(description="Why there is no customer; null if there is one.")
    error_message = graphene.String()
    fetched_at = graphene.String(description="ISO-8601, UTC.")
    fresh_until = graphene.String(description="ISO-8601, UTC.")
    age_ms = graphene.Int(description="How long ago the customer was fetched.")
    attempts = graphene.Int()
    duration_ms = graphene.Int()
    config_version = graphene.Int()
    customer = graphene.Field(AnsweredCustomer)


class AnswerSubscriptions(graphene.ObjectType):  # graphene is untyped
    """The part of `Subscription` that tells of answers."""

    customer_answered = graphene.Field(
        LookupAnswer,
        required=True,
        basket_id=graphene.ID(),
        description="Answers from now on: of one basket, or of all.",
    )

    @staticmethod
    async def subscribe_customer_answered(
        _root: None, info: Any, basket_id: str | None = None
    ) -> EventSubscription:
        """Subscribe; whatever is published from then on will come."""
        context: GraphQLContext = info.context
        if basket_id is not None and not is_sound(basket_id):
            message = f"basketId must be 1 to {MAX_TEXT} printable characters"
            raise refusal("BAD_USER_INPUT", message)
        try:
            return await lookup_ports(context).answers.subscribe(basket_id)
        except TooManySubscribers as why:
            raise refusal("TOO_MANY_SUBSCRIBERS", f"{why}: try again later") from why
        except BrokerUnreachable as why:
            raise refusal("BROKER_UNAVAILABLE", f"{why} now: try again later") from why

    @staticmethod
    def resolve_customer_answered(event: FeedEvent, _info: Any, **_: Any) -> FeedEvent:
        """The event itself."""
        return event
