"""The filter of the list of HTTP attempts, as it stands in a URL."""

from typing import Final

from aiohttp import web

from agents.customer_lookup.pages.identifier_field import read_identifier
from agents.customer_lookup.read_model.records import NO_RESPONSE, AttemptFilter
from agents.customer_lookup.reasons import AttemptStatus
from web.console.lists import AskedList
from web.graphql.context import GraphQLContext

#: The fields of the form, by their names in the URL.
FIELDS: Final = (
    "status",
    "http",
    "endpoint",
    "identifier",
    "customer",
    "basket",
    "from",
    "to",
)
#: The `http` of an attempt without a response.
NONE: Final = "none"


class AskedAttempts(AskedList):
    """The filter of the attempts; `wanted` is what it means."""

    def __init__(self, request: web.Request, context: GraphQLContext) -> None:
        super().__init__(request, FIELDS)
        since, until = self.span()
        self.wanted = AttemptFilter(
            status=self.word("status", AttemptStatus),
            http_status=self._http_status(),
            api_endpoint=self.typed["endpoint"] or None,
            customer_identifier=read_identifier(self, context),
            customer_id=self.customer("customer", context),
            basket_id=self.id("basket", "A basket's id is "),
            since=since,
            until=until,
        )

    def _http_status(self) -> int | None:
        text = self.typed["http"]
        if text.lower() == NONE:
            return NO_RESPONSE
        if text and not (text.isascii() and text.isdigit() and len(text) == 3):  # noqa: PLR2004
            self.errors["http"] = f"Write a status like 503, or “{NONE}”: no response."
            return None
        return int(text) if text else None
