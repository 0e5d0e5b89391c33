"""The operations that a page for people starts with: the quick test, step by step."""

from typing import Final

EXAMPLES: Final = (
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
