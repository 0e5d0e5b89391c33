"""What the plugin adds to the console."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from aiohttp import web

from agents.fraud_detection.pages.alert_list import AlertList
from agents.fraud_detection.pages.alert_page import AlertPage
from agents.fraud_detection.pages.basket_part import BasketPart
from agents.fraud_detection.pages.page import ALERTS, RULES, alert_path, edit_path, rule_path
from agents.fraud_detection.pages.rule_list import RuleList
from agents.fraud_detection.pages.rule_page import RulePage
from agents.fraud_detection.pages.shown import tone_of, worded
from posstream.domain.roles import Role
from web.console.navigation import NavigationEntry
from web.console.part import ConsoleKit, ConsolePart, PageAddition

_NAVIGATION: Final = (
    NavigationEntry(path=ALERTS, title="Alerts", role=Role.VIEWER, order=160),
    NavigationEntry(path=RULES, title="Rules", role=Role.VIEWER, order=170),
)


def console_part() -> ConsolePart:
    """The alerts, the rules, and the alerts on the page of a basket."""
    return ConsolePart(
        routes=_routes,
        templates="agents.fraud_detection.pages",
        navigation=_NAVIGATION,
        additions=lambda kit: [
            PageAddition(page="basket", render=BasketPart(kit.pages, kit.context).render)
        ],
    )


def _routes(kit: ConsoleKit) -> Sequence[web.RouteDef]:
    pages, context, references = kit.pages, kit.context, kit.context.references
    pages.share(
        alert_path=alert_path,
        basket_path=lambda it: f"/baskets/{quote(references.of(it), safe='')}",
        customer_path=lambda it: f"/customers/{quote(references.of_customer(it), safe='')}",
        edit_path=edit_path,
        rule_path=rule_path,
        tone_of=tone_of,
        worded=worded,
    )
    return [
        *AlertList(pages, context, kit.live).routes(),
        *AlertPage(pages, context).routes(),
        *RuleList(pages, context).routes(),
        *RulePage(pages, context).routes(),
    ]
