"""The list of lookups: every terminal answer; its URL says what is shown."""

from functools import partial
from typing import Final

from aiohttp import web

from agents.customer_lookup.pages.answer_filter import AskedAnswers
from agents.customer_lookup.pages.identifier_field import may_ask
from agents.customer_lookup.pages.page import Page
from agents.customer_lookup.pages.wording import age, tag_of
from agents.customer_lookup.read_model.records import AnswerFilter, AnswerOutcome, AnswerRow
from agents.customer_lookup.reasons import Reason, Source
from web.console.csv_file import Columns
from web.console.lists import Listed, by_time, list_file, list_page
from web.console.pages import reveals_of

PATH: Final = "/lookups"
_OUTCOMES: Final = {
    AnswerOutcome.FOUND: "with a customer",
    AnswerOutcome.UNKNOWN: "customer unknown",
    AnswerOutcome.FAILED: "failed",
}
_SOURCES: Final = {
    Source.CACHE: "cache (fresh)",
    Source.API: "API",
    Source.STALE_CACHE: "cache (stale)",
}
_COLUMNS: Final[Columns[AnswerRow]] = (
    ("occurred_at", lambda row, _: row.occurred_at),
    ("basket_id", lambda row, _: row.basket_id),
    ("customer_identifier", lambda row, reveals: reveals.show(row.customer_identifier)),
    ("identifier_kind", lambda row, _: row.identifier_kind),
    ("source", lambda row, _: row.source),
    ("reason", lambda row, _: row.reason),
    ("customer_id", lambda row, reveals: reveals.show_customer_id(row.customer_id or "")),
    ("attempts", lambda row, _: row.attempts),
    ("duration_ms", lambda row, _: row.duration_ms),
    ("age_ms", lambda row, _: row.age_ms),
    ("identified_at", lambda row, _: row.identified_at),
    ("config_version", lambda row, _: row.config_version),
    ("lookup_id", lambda row, _: row.lookup_id),
    ("event_id", lambda row, _: row.event_id),
    ("terminal_id", lambda row, _: row.terminal_id),
    ("employee_id", lambda row, _: row.employee_id),
)


class Lookups(Page):
    """`/lookups` and `/lookups.csv`."""

    def routes(self) -> list[web.RouteDef]:
        """The list as a page, and as a CSV file."""
        return [web.get(PATH, self.page), web.get(f"{PATH}.csv", self.csv)]

    async def page(self, request: web.Request) -> web.Response:
        """One page of the list; 400 for an invalid filter, with a message at the field."""
        asked = AskedAnswers(request, self.context)
        if not may_ask(request, asked, self.context, "the page lookups"):
            return self.pages.too_many_lookups(request)
        reveals = reveals_of(request)
        listed = await list_page(request, PATH, asked, self._listed(asked.wanted), reveals)
        return self.pages.render(
            request,
            "lookups.html",
            reveals=reveals,
            status=listed.status,
            listed=listed,
            outcomes=_OUTCOMES,
            sources=_SOURCES,
            reason_words=[(word, word.lower().replace("_", " ")) for word in Reason],
            tag_of=tag_of,
            age=age,
        )

    async def csv(self, request: web.Request) -> web.StreamResponse:
        """The filtered list as a file, streamed; for an invalid filter the page says so."""
        asked = AskedAnswers(request, self.context)
        if asked.is_refused:
            return await self.page(request)
        if not may_ask(request, asked, self.context, "the file lookups.csv"):
            return self.pages.too_many_lookups(request)
        listed = self._listed(asked.wanted)
        return await list_file(request, asked, listed, _COLUMNS, reveals_of(request))

    def _listed(self, wanted: AnswerFilter) -> Listed[AnswerRow]:
        model = self.ports.read_model
        return by_time(
            "lookupAnswers",
            lambda row: (row.occurred_at, row.event_id),
            read=partial(model.lookup_answers, wanted),
            count=partial(model.count_answers, wanted),
        )
