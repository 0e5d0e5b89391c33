"""What the plugin adds to the GraphQL schema."""

from agents.fraud_detection.graphql.alerts import FraudAlertsQuery
from agents.fraud_detection.graphql.mutations import MUTATIONS, PERMISSIONS
from agents.fraud_detection.graphql.rules import FraudRulesQuery
from agents.fraud_detection.graphql.subscriptions import FraudSubscriptions
from web.graphql.part import GraphQLPart


def graphql_part() -> GraphQLPart:
    """The plugin's queries, mutations and subscription."""
    return GraphQLPart(
        queries=(FraudAlertsQuery, FraudRulesQuery),
        mutations=MUTATIONS,
        permissions=PERMISSIONS,
        subscriptions=(FraudSubscriptions,),
        searches=frozenset({"fraudAlerts", "fraudRules", "previewFraudRule"}),
    )
