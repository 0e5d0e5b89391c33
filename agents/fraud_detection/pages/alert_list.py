"""The list of alerts, newest first, kept up to date; its URL says what is shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from agents.fraud_detection.fraud_ports import NAME
from agents.fraud_detection.pages.alert_filter import AskedAlerts, cursor_at, read_place
from agents.fraud_detection.pages.page import ALERTS, Page
from agents.fraud_detection.pages.past_rules import rules_in_force
from agents.fraud_detection.pages.shown import shown_alert, worded
from agents.fraud_detection.read_model.records import AlertFilter, FraudAlert, Position
from agents.fraud_detection.rules.rule import Severity
from agents.fraud_detection.verdict import AlertStatus
from posstream.domain.masking import is_personal
from web.access.guard import caller_of
from web.console.contained import contained
from web.console.live import LivePages
from web.console.pages import reveals_of, with_query

#: Rows of a page.
PAGE_ROWS: Final = 50
_LIVE: Final = f"{ALERTS}/live"
#: The id of the part that is kept up to date.
_PART: Final = "alerts"


@dataclass(eq=False)
class AlertList(Page):
    """`/fraud/alerts`."""

    keeps: LivePages

    def routes(self) -> list[web.RouteDef]:
        """The list, and the stream that keeps it up to date."""
        return [web.get(ALERTS, self.page), web.get(_LIVE, self.follow)]

    async def page(self, request: web.Request) -> web.Response:
        """One page of the list; 400 with a message at the field for a filter without sense."""
        asked = AskedAlerts.of(request.query)
        wanted = asked.read(self.context)
        if not self._may_ask(request, asked):
            return self.pages.too_many_lookups(request)
        after = read_place(request.query.get("after"))
        rows = [] if asked.errors else await self._rows(wanted, after)
        older = cursor_at(rows[PAGE_ROWS - 1]) if len(rows) > PAGE_ROWS else None
        reveals = reveals_of(request)
        is_newest = after is None
        return self.pages.render(
            request,
            "fraud_alerts.html",
            reveals=reveals,
            status=400 if asked.errors else 200,
            asked=asked,
            part=None if asked.errors else self._part(request, asked, rows, is_newest=is_newest),
            rules=[(rule.id, rule.name) for rule in self.live.current.value.rules],
            severities=[(it.value, worded(it)) for it in Severity],
            statuses=[(it.value, worded(it)) for it in AlertStatus],
            is_newest=is_newest,
            newest=with_query(request, after=None),
            older=older and with_query(request, after=older),
            live=with_query(request, _LIVE) if is_newest and not asked.errors else None,
        )

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """Send the newest page of the list again whenever it changes."""
        asked = AskedAlerts.of(request.query)
        wanted = asked.read(self.context)
        if asked.errors:
            raise web.HTTPBadRequest
        if not self._may_ask(request, asked):
            raise web.HTTPTooManyRequests

        async def make() -> str:
            return self._part(request, asked, await self._rows(wanted, None), is_newest=True)

        async def part() -> str:
            return await contained(self.pages, self.context, NAME, "list", make)

        return await self.keeps.stream(request, {_PART: part})

    async def _rows(self, wanted: AlertFilter, after: Position | None) -> Sequence[FraudAlert]:
        """One row more than a page has says whether there are more."""
        return await self.ports.alerts.listed(wanted, first=PAGE_ROWS + 1, after=after)

    def _part(
        self,
        request: web.Request,
        asked: AskedAlerts,
        rows: Sequence[FraudAlert],
        *,
        is_newest: bool,
    ) -> str:
        reveals = reveals_of(request)
        rules = rules_in_force(self.live)
        return self.pages.addition(
            request,
            "_fraud_alerts.html",
            reveals=reveals,
            alerts=[
                shown_alert(row, rules.get(row.document["rule_version"]), reveals)
                for row in rows[:PAGE_ROWS]
            ],
            is_all=asked.is_empty,
            is_newest=is_newest,
        )

    def _may_ask(self, request: web.Request, asked: AskedAlerts) -> bool:
        """Whether the caller may try one more identifier, if the filter has one."""
        if not is_personal(asked.typed["customer"]):
            return True
        return self.context.budget.allows_page(caller_of(request), "the page fraud_alerts")
