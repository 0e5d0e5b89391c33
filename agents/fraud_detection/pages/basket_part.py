"""The plugin's part of the page of a basket: its alerts."""

from typing import Final

from aiohttp import web

from agents.fraud_detection.pages.page import Page
from agents.fraud_detection.pages.past_rules import rules_in_force
from agents.fraud_detection.pages.shown import shown_alert
from agents.fraud_detection.read_model.records import AlertFilter
from web.console.pages import reveals_of
from web.graphql.context import is_sound

#: Alerts that the part shows; the list of alerts has all.
_MOST: Final = 10


class BasketPart(Page):
    """Renders the part."""

    async def render(self, request: web.Request, basket_id: str) -> str:
        """The newest alerts of a basket; empty if there is none."""
        wanted = AlertFilter(basket_id=basket_id)
        alerts = self.ports.alerts
        rows = await alerts.listed(wanted, first=_MOST) if is_sound(basket_id) else ()
        if not rows:
            return ""
        reveals, rules = reveals_of(request), rules_in_force(self.live)
        shown = [shown_alert(row, rules.get(row.document["rule_version"]), reveals) for row in rows]
        return self.pages.addition(
            request, "fraud_basket.html", reveals=reveals, alerts=shown, basket_id=basket_id
        )
