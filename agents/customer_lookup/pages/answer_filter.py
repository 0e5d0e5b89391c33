"""The filter of the list of lookups, as it stands in a URL.

If the text of a field makes no sense, the form shows that text again, with a message beside it.
"""

from typing import Final

from aiohttp import web

from agents.customer_lookup.pages.identifier_field import read_identifier
from agents.customer_lookup.read_model.records import AnswerFilter, AnswerOutcome
from agents.customer_lookup.reasons import Reason, Source
from web.console.lists import AskedList
from web.graphql.context import GraphQLContext

#: The fields of the form, by their names in the URL.
FIELDS: Final = (
    "outcome",
    "source",
    "reason",
    "identifier",
    "customer",
    "basket",
    "terminal",
    "employee",
    "version",
    "from",
    "to",
)


class AskedAnswers(AskedList):
    """The filter of the lookups; `wanted` is what it means."""

    def __init__(self, request: web.Request, context: GraphQLContext) -> None:
        super().__init__(request, FIELDS)
        since, until = self.span()
        self.wanted = AnswerFilter(
            outcome=self.word("outcome", AnswerOutcome),
            source=self.word("source", Source),
            reason=self.word("reason", Reason),
            identifier=read_identifier(self, context),
            customer_id=self.customer("customer", context),
            basket_id=self.id("basket", "A basket's id is "),
            terminal_id=self.id("terminal"),
            employee_id=self.id("employee"),
            config_version=self.whole("version"),
            since=since,
            until=until,
        )
