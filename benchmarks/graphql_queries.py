"""What every GraphQL server of the benchmarks is asked."""

from dataclasses import dataclass, field
from typing import Any, Final

import orjson

#: Where each of them answers.
PATH: Final = "/graphql/"


@dataclass(frozen=True, slots=True)
class Query:
    """A document with its variables."""

    text: str
    variables: dict[str, Any] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """What is posted."""
        return orjson.dumps({"query": self.text, "variables": self.variables})


BY_ID: Final = Query(
    "query($id: ID!) { customer(customerId: $id) { firstName lastName tier loyaltyPoints } }",
    {"id": "CUST_0000042"},
)
BY_IDENTIFIER: Final = Query(
    "query($identifier: String!) { customerByIdentifier(identifier: $identifier) "
    "{ customerId firstName lastName tier loyaltyPoints } }",
    {"identifier": "+49550000042"},
)
OF_TIER: Final = Query(
    "query($first: Int!, $tier: String!) { customers(first: $first, tier: $tier) "
    "{ edges { node { customerId firstName lastName tier } } pageInfo { hasNextPage } } }",
    {"first": 20, "tier": "GOLD"},
)
WITH_IDENTIFIERS: Final = Query(
    "query($first: Int!) { customers(first: $first) "
    "{ edges { node { customerId identifiers } } } }",
    {"first": 20},
)
STATISTICS: Final = Query("{ lookupStats { lookups hitRatio apiAttempts callsSavedByCoalescing } }")

#: By what tables call them.
QUERIES: Final = {
    "customer by id": BY_ID,
    "customer by identifier": BY_IDENTIFIER,
    "20 customers of a tier": OF_TIER,
    "20 customers with identifiers": WITH_IDENTIFIERS,
    "figures of the last hour": STATISTICS,
}
