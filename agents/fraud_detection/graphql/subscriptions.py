"""The subscription: alerts as they are published, whichever worker raised them."""

from typing import Any

import graphene

from agents.fraud_detection.fraud_ports import fraud_ports
from agents.fraud_detection.graphql.types import FraudAlertType, raised_fields
from posstream.domain.errors import BrokerUnreachable, TooManySubscribers
from posstream.kafka.event_feed import EventSubscription, FeedEvent
from web.graphql.context import GraphQLContext, refusal


class FraudSubscriptions(graphene.ObjectType):  # graphene is untyped
    """The part of `Subscription` that tells of alerts."""

    fraud_alert_raised = graphene.Field(
        FraudAlertType,
        required=True,
        description="Alerts from now on, each once, but for those of SHADOW or snoozed rules.",
    )

    @staticmethod
    async def subscribe_fraud_alert_raised(_root: None, info: Any) -> EventSubscription:
        """Subscribe; whatever is published from then on will come."""
        context: GraphQLContext = info.context
        try:
            return await fraud_ports(context).raised.subscribe()
        except TooManySubscribers as why:
            raise refusal("TOO_MANY_SUBSCRIBERS", f"{why}: try again later") from why
        except BrokerUnreachable as why:
            raise refusal("BROKER_UNAVAILABLE", f"{why} now: try again later") from why

    @staticmethod
    def resolve_fraud_alert_raised(event: FeedEvent, _info: Any) -> dict[str, Any]:
        """The alert as its event has it."""
        return raised_fields(event)
