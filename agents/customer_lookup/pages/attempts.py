"""The list of HTTP attempts at the directory; its URL says what is shown."""

from functools import partial
from typing import Final

from aiohttp import web

from agents.customer_lookup.pages.attempt_filter import AskedAttempts
from agents.customer_lookup.pages.identifier_field import may_ask
from agents.customer_lookup.pages.page import Page
from agents.customer_lookup.pages.wording import tone_of_attempt
from agents.customer_lookup.read_model.records import AttemptFilter, LookupLogRow
from agents.customer_lookup.reasons import AttemptStatus
from web.console.csv_file import Columns
from web.console.lists import Listed, by_time, list_file, list_page
from web.console.pages import reveals_of

PATH: Final = "/attempts"
_COLUMNS: Final[Columns[LookupLogRow]] = (
    ("request_timestamp", lambda row, _: row.request_timestamp),
    ("basket_id", lambda row, _: row.basket_id),
    ("customer_identifier", lambda row, reveals: reveals.show(row.customer_identifier)),
    ("identifier_kind", lambda row, _: row.identifier_kind),
    ("status", lambda row, _: row.status),
    ("http_status", lambda row, _: row.http_status),
    ("error_message", lambda row, _: row.error_message),
    ("api_endpoint", lambda row, _: row.api_endpoint),
    ("duration_ms", lambda row, _: row.duration_ms),
    ("attempt", lambda row, _: row.attempt),
    ("waiters", lambda row, _: row.waiters),
    ("response_timestamp", lambda row, _: row.response_timestamp),
    ("lookup_id", lambda row, _: row.lookup_id),
    ("event_id", lambda row, _: row.event_id),
)


class Attempts(Page):
    """`/attempts` and `/attempts.csv`."""

    def routes(self) -> list[web.RouteDef]:
        """The list as a page, and as a CSV file."""
        return [web.get(PATH, self.page), web.get(f"{PATH}.csv", self.csv)]

    async def page(self, request: web.Request) -> web.Response:
        """One page of the list; 400 for an invalid filter, with a message at the field."""
        asked = AskedAttempts(request, self.context)
        if not may_ask(request, asked, self.context, "the page attempts"):
            return self.pages.too_many_lookups(request)
        reveals = reveals_of(request)
        listed = await list_page(request, PATH, asked, self._listed(asked.wanted), reveals)
        return self.pages.render(
            request,
            "attempts.html",
            reveals=reveals,
            status=listed.status,
            listed=listed,
            statuses=[(word, word.lower().replace("_", " ")) for word in AttemptStatus],
            tone_of_attempt=tone_of_attempt,
        )

    async def csv(self, request: web.Request) -> web.StreamResponse:
        """The filtered list as a file, streamed; for an invalid filter the page says so."""
        asked = AskedAttempts(request, self.context)
        if asked.is_refused:
            return await self.page(request)
        if not may_ask(request, asked, self.context, "the file attempts.csv"):
            return self.pages.too_many_lookups(request)
        listed = self._listed(asked.wanted)
        return await list_file(request, asked, listed, _COLUMNS, reveals_of(request))

    def _listed(self, wanted: AttemptFilter) -> Listed[LookupLogRow]:
        model = self.ports.read_model
        return by_time(
            "attempts",
            lambda row: (row.request_timestamp, row.event_id),
            read=partial(model.attempts, wanted),
            count=partial(model.count_attempts, wanted),
        )
