"""The list of lookups: every terminal answer, newest first; its URL says what is shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from agents.customer_lookup.pages.answer_filter import (
    AskedFilter,
    cursor_at,
    read_filter,
    read_place,
)
from agents.customer_lookup.pages.lookups_csv import MAX_ROWS, answers_as_csv
from agents.customer_lookup.pages.page import Page
from agents.customer_lookup.pages.wording import age, tag_of
from agents.customer_lookup.read_model.queries import SqlReadModel
from agents.customer_lookup.read_model.records import AnswerFilter, AnswerOutcome, AnswerRow
from agents.customer_lookup.reasons import Reason, Source
from web.access.guard import caller_of
from web.console.pages import reveals_of, with_query

#: Rows of a page.
PAGE_ROWS: Final = 50
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


@dataclass(frozen=True, slots=True)
class _Page:
    """A page of the list and the places of its neighbours; None: there is none."""

    rows: Sequence[AnswerRow] = ()
    newer: str | None = None
    older: str | None = None


class Lookups(Page):
    """`/lookups` and `/lookups.csv`."""

    def routes(self) -> list[web.RouteDef]:
        """The list as a page, and as a CSV file."""
        return [web.get("/lookups", self.page), web.get("/lookups.csv", self.csv)]

    async def page(self, request: web.Request) -> web.Response:
        """One page of the list; 400 with a message at the field for a filter without sense."""
        asked = read_filter(request.query, normalise=self.context.normalise)
        if not self._may_ask(request, asked, "the page lookups"):
            return self.pages.too_many_lookups(request)
        found = _Page()
        if not asked.errors:
            found = await _read(
                self.ports.read_model,
                asked.wanted,
                older=request.query.get("older"),
                newer=request.query.get("newer"),
            )
        reveals = reveals_of(request)
        unplaced = {"older": None, "newer": None}
        return self.pages.render(
            request,
            "lookups.html",
            reveals=reveals,
            status=400 if asked.errors else 200,
            asked=asked,
            answers=found.rows,
            newer=found.newer and with_query(request, **unplaced | {"newer": found.newer}),
            older=found.older and with_query(request, **unplaced | {"older": found.older}),
            newest=with_query(request, **unplaced),
            csv=with_query(request, "/lookups.csv", **unplaced),
            reveal=with_query(request, reveal=None if reveals.in_full else "1"),
            most=MAX_ROWS,
            outcomes=_OUTCOMES,
            sources=_SOURCES,
            reason_words=[(word, word.lower().replace("_", " ")) for word in Reason],
            tag_of=tag_of,
            age=age,
        )

    async def csv(self, request: web.Request) -> web.StreamResponse:
        """The filtered list as a file, streamed; a filter without sense leads back to its page."""
        asked = read_filter(request.query, normalise=self.context.normalise)
        if asked.errors:
            return web.Response(status=303, headers={"Location": with_query(request, "/lookups")})
        if not self._may_ask(request, asked, "the file lookups.csv"):
            return self.pages.too_many_lookups(request)
        read_model = self.ports.read_model
        return await answers_as_csv(request, read_model, asked.wanted, reveals_of(request))

    def _may_ask(self, request: web.Request, asked: AskedFilter, where: str) -> bool:
        """Whether the caller may try one more identifier, if the filter has one."""
        if asked.wanted.identifier is None:
            return True
        return self.context.budget.allows_page(caller_of(request), where)


async def _read(
    read_model: SqlReadModel, wanted: AnswerFilter, *, older: str | None, newer: str | None
) -> _Page:
    """The page next to a place. A broken place, or too few newer ones, is the newest page."""
    beyond = PAGE_ROWS + 1  # says whether there are more
    if newer is not None and (place := read_place(newer)):
        rows = await read_model.lookup_answers(wanted, first=beyond, newer_than=place)
        if len(rows) >= PAGE_ROWS:
            shown = rows[-PAGE_ROWS:]
            more = len(rows) > PAGE_ROWS
            return _Page(shown, cursor_at(shown[0]) if more else None, cursor_at(shown[-1]))
    place = None if older is None else read_place(older)
    rows = await read_model.lookup_answers(wanted, first=beyond, older_than=place)
    shown = rows[:PAGE_ROWS]
    more = len(rows) > PAGE_ROWS
    return _Page(
        shown,
        cursor_at(shown[0]) if place and shown else None,
        cursor_at(shown[-1]) if more else None,
    )
