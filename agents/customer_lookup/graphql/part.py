"""What the plugin adds to the GraphQL schema."""

from typing import Final

from agents.customer_lookup.graphql.breaker import BreakerQuery, ControlBreaker
from agents.customer_lookup.graphql.customers import CustomerQuery
from agents.customer_lookup.graphql.explain import ExplainQuery
from agents.customer_lookup.graphql.lookup_logs import LookupLogsQuery
from agents.customer_lookup.graphql.mutations import EvictCustomer, IdentifyCustomer, StartBasket
from agents.customer_lookup.graphql.statistics import StatisticsQuery
from agents.customer_lookup.graphql.subscriptions import AnswerSubscriptions
from agents.customer_lookup.permissions import PERMISSIONS
from agents.customer_lookup.shown_records import show_record
from web.graphql.masking import show_document
from web.graphql.part import GraphQLPart

#: The operations that a page for people starts with: the quick test, step by step.
_EXAMPLES: Final = (
    """\
# 1. Start a basket. Its id is in the answer.
mutation StartBasket {
  startBasket(employeeId: 1, terminalId: "t1") {
    basketId
  }
}
""",
    """\
# 2. Say whose it is: basket_xxx may be
# the id that you just got, or any other.
mutation IdentifyCustomer {
  identifyCustomer(basketId: "basket_xxx", customerIdentifier: "+1234567890") {
    success
  }
}
""",
    """\
# 3. Ask for the customer, who is in the
# read model a moment later.
query Customer {
  customer(customerId: "CUST_001") {
    firstName
    lastName
    tier
    loyaltyPoints
  }
}
""",
)


def graphql_part() -> GraphQLPart:
    """The plugin's queries, mutations and subscription."""
    return GraphQLPart(
        queries=(
            CustomerQuery,
            LookupLogsQuery,
            StatisticsQuery,
            ExplainQuery,
            BreakerQuery,
        ),
        mutations={
            "start_basket": StartBasket,
            "identify_customer": IdentifyCustomer,
            "evict_customer": EvictCustomer,
            "control_breaker": ControlBreaker,
        },
        permissions=PERMISSIONS,
        subscriptions=(AnswerSubscriptions,),
        masks={
            # What the directory wrote.
            "responseData": show_document,
            "attributes": show_document,
            "raw": lambda context, record: show_record(context.reveals, record),
        },
        searches=frozenset(
            {
                "customerByIdentifier",
                "allCustomers",
                "customers",
                "lookupLogs",
                "lookupStats",
                "explainLookup",
            }
        ),
        examples=_EXAMPLES,
    )
