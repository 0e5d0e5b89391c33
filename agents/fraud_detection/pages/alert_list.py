"""The list of alerts, kept up to date while it is the newest page; its URL says what is shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from aiohttp import web

from agents.fraud_detection.fraud_ports import NAME
from agents.fraud_detection.pages.alert_filter import AskedAlerts
from agents.fraud_detection.pages.page import ALERTS, Page
from agents.fraud_detection.pages.past_rules import rules_in_force
from agents.fraud_detection.pages.shown import shown_alert, worded
from agents.fraud_detection.read_model.records import AlertFilter, FraudAlert
from agents.fraud_detection.rules.rule import Severity
from agents.fraud_detection.verdict import AlertStatus
from posstream.domain.masking import is_personal
from web.access.reveals import Reveals
from web.console.contained import contained
from web.console.csv_file import Columns
from web.console.lists import PAGE_ROWS, Listed, by_time, list_file, list_page, may_ask
from web.console.live import LivePages
from web.console.pages import reveals_of, with_query

_LIVE: Final = f"{ALERTS}/live"
#: The id of the part that is kept up to date.
_PART: Final = "alerts"


@dataclass(eq=False)
class AlertList(Page):
    """`/fraud/alerts` and `/fraud/alerts.csv`."""

    keeps: LivePages

    def routes(self) -> list[web.RouteDef]:
        """The list as a page and as a CSV file, and the stream that keeps it up to date."""
        return [
            web.get(ALERTS, self.page),
            web.get(f"{ALERTS}.csv", self.csv),
            web.get(_LIVE, self.follow),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """One page of the list; 400 for an invalid filter, with a message at the field."""
        asked = AskedAlerts(request, self.context)
        if not self._may_ask(request, asked, "the page fraud_alerts"):
            return self.pages.too_many_lookups(request)
        reveals = reveals_of(request)
        listed = await list_page(request, ALERTS, asked, self._listed(asked.wanted), reveals)
        is_live = not (asked.is_refused or listed.first or asked.order.rising)
        return self.pages.render(
            request,
            "fraud_alerts.html",
            reveals=reveals,
            status=listed.status,
            listed=listed,
            part=self._part(request, asked, listed.rows),
            rules=[(rule.id, rule.name) for rule in self.live.current.value.rules],
            severities=[(it.value, worded(it)) for it in Severity],
            statuses=[(it.value, worded(it)) for it in AlertStatus],
            newest=with_query(request, after=None, before=None),
            live=with_query(request, _LIVE) if is_live else None,
        )

    async def csv(self, request: web.Request) -> web.StreamResponse:
        """The filtered list as a file, streamed; for an invalid filter the page says so."""
        asked = AskedAlerts(request, self.context)
        if asked.is_refused:
            return await self.page(request)
        if not self._may_ask(request, asked, "the file alerts.csv"):
            return self.pages.too_many_lookups(request)
        listed = self._listed(asked.wanted)
        return await list_file(request, asked, listed, _COLUMNS, reveals_of(request))

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """Send the newest page of the list again whenever it changes."""
        asked = AskedAlerts(request, self.context)
        if asked.is_refused:
            raise web.HTTPBadRequest
        if not self._may_ask(request, asked, "the page fraud_alerts"):
            raise web.HTTPTooManyRequests
        listed = self._listed(asked.wanted)

        async def make() -> str:
            rows = await listed.read(first=PAGE_ROWS, after=None, rising=False)
            return self._part(request, asked, rows)

        async def part() -> str:
            return await contained(self.pages, self.context, NAME, "list", make)

        return await self.keeps.stream(request, {_PART: part})

    def _listed(self, wanted: AlertFilter) -> Listed[FraudAlert]:
        alerts = self.ports.alerts
        return by_time(
            "fraudAlerts",
            lambda row: (row.occurred_at, row.alert_id),
            read=partial(alerts.listed, wanted),
            count=partial(alerts.count, wanted),
        )

    def _part(self, request: web.Request, asked: AskedAlerts, rows: Sequence[FraudAlert]) -> str:
        reveals = reveals_of(request)
        rules = rules_in_force(self.live)
        return self.pages.addition(
            request,
            "_fraud_alerts.html",
            reveals=reveals,
            alerts=[
                shown_alert(row, rules.get(row.document["rule_version"]), reveals) for row in rows
            ],
            is_all=asked.is_empty,
        )

    def _may_ask(self, request: web.Request, asked: AskedAlerts, where: str) -> bool:
        """Whether the caller may try one more identifier, if the filter has one."""
        return may_ask(request, self.context, where, [is_personal(asked.typed["customer"])])


def _told(row: FraudAlert, name: str) -> Any:
    return row.document[name]


def _customer(row: FraudAlert, reveals: Reveals) -> str:
    return reveals.show_customer_id(_told(row, "customer_id") or "")


_COLUMNS: Final[Columns[FraudAlert]] = (
    ("occurred_at", lambda row, _: row.occurred_at),
    ("alert_id", lambda row, _: row.alert_id),
    ("rule_id", lambda row, _: _told(row, "rule_id")),
    ("rule_name", lambda row, _: _told(row, "rule_name")),
    ("rule_version", lambda row, _: _told(row, "rule_version")),
    ("rule_state", lambda row, _: row.rule_state),
    ("severity", lambda row, _: _told(row, "severity")),
    ("value", lambda row, _: _told(row, "value")),
    ("operator", lambda row, _: _told(row, "operator")),
    ("limit", lambda row, _: _told(row, "limit")),
    ("basket_id", lambda row, _: _told(row, "basket_id")),
    ("terminal_id", lambda row, _: _told(row, "terminal_id")),
    ("employee_id", lambda row, _: _told(row, "employee_id")),
    ("customer_id", _customer),
    ("hits", lambda row, _: row.hits),
    ("snoozed", lambda row, _: row.snoozed),
    ("status", lambda row, _: row.status),
    ("author", lambda row, _: row.author),
    ("judged_at", lambda row, _: row.judged_at),
    ("complete_from", lambda row, _: _told(row, "complete_from")),
)
