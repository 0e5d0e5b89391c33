"""The rules: what each looks for, how it does, its state, and the snoozes in force."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from aiohttp import web

from agents.fraud_detection.configuration import Snooze
from agents.fraud_detection.fraud_ports import NAME
from agents.fraud_detection.pages.page import RULES, Page, by
from agents.fraud_detection.pages.rule_edits import change_rule
from agents.fraud_detection.read_model.records import RuleFigures
from agents.fraud_detection.rules.rule import Rule, RuleState
from agents.fraud_detection.shown_names import shown_fields
from agents.fraud_detection.snoozed_groups import is_hash
from agents.fraud_detection.snoozing import in_force, snooze_rule
from agents.fraud_detection.wording import length, sentence, who
from posstream.configuration.editing import Changed, RefusalCode
from posstream.domain.roles import Caller, Role
from posstream.domain.times import from_ms, parse_utc
from web.access import audit
from web.access.guard import caller_of
from web.access.reveals import Reveals
from web.console.pages import reveals_of
from web.console.pages import sentence as as_sentence
from web.http.reading import read_form

#: How far back alerts are counted.
_COUNTED: Final = timedelta(hours=24)
#: What is done to a rule: the word on its button, and the state that it has then.
_ACTIONS: Final[Mapping[str, RuleState]] = {
    "activate": RuleState.ACTIVE,
    "shadow": RuleState.SHADOW,
    "pause": RuleState.PAUSED,
}
_WITHIN: Final = "Every worker follows within 2 seconds."
_DONE: Final = {
    "saved": f"Saved. {_WITHIN}",
    "same": "Nothing changed: the rule was like this already.",
    "activate": f"Activated: its alerts are published. {_WITHIN}",
    "shadow": f"In the shadow: its alerts are listed, and not published. {_WITHIN}",
    "pause": f"Paused: nothing is judged by it. {_WITHIN}",
    "delete": f"Deleted. {_WITHIN} A rollback of the configuration brings it back.",
    "ended": f"The snooze is over. {_WITHIN}",
}


@dataclass(frozen=True, slots=True)
class _ShownRule:
    """A rule and how it does."""

    rule: Rule
    sentence: str
    window: str
    figures: RuleFigures
    #: How much of the past events that it missed it has read, in percent; None if it misses none.
    warming: int | None


@dataclass(frozen=True, slots=True)
class _ShownSnooze:
    """A snooze in force."""

    snooze: Snooze
    name: str
    whom: Sequence[str]
    until: datetime | None
    #: Its group as the form that ends it sends it; None if its rule is not there any more.
    group: str | None


class RuleList(Page):
    """`/fraud/rules`, and what its buttons post to."""

    def routes(self) -> list[web.RouteDef]:
        """The page and its buttons."""
        return [
            web.get(RULES, self.page),
            web.post(f"{RULES}/state", self.act),
            web.post(f"{RULES}/snooze-end", self.end_snooze),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """Every rule, in the order of the configuration."""
        return await self._page(request)

    async def act(self, request: web.Request) -> web.Response:
        """Activate, shadow, pause or delete one rule."""
        caller, post = caller_of(request), await read_form(request)
        rule_id, action = post.get("rule_id", ""), post.get("action", "")
        arguments = {"rule_id": rule_id, "action": action}
        if not caller.may(Role.OPERATOR):
            return self._forbidden(request, caller, "changeFraudRule", arguments)
        if action not in {*_ACTIONS, "delete"}:
            raise web.HTTPBadRequest
        state = _ACTIONS.get(action)
        outcome = await change_rule(
            self.live,
            rule_id,
            lambda it: None if state is None else {**it, "state": state.value},
            by=by(caller),
            what=action,
        )
        if isinstance(outcome, Changed):
            audit.changed(caller, "changeFraudRule", arguments, "done")
            raise web.HTTPSeeOther(f"{RULES}?done={action if outcome.is_new else 'same'}")
        code = "UNKNOWN_RULE" if outcome is None else outcome.code
        audit.changed(caller, "changeFraudRule", arguments, f"refused, {code}")
        if outcome is None:
            return await self._page(request, status=404, problem="There is no such rule.")
        status = 503 if outcome.code == RefusalCode.BROKER_UNAVAILABLE else 409
        return await self._page(request, status=status, problem=as_sentence(outcome.message))

    async def end_snooze(self, request: web.Request) -> web.Response:
        """End one snooze."""
        caller, post = caller_of(request), await read_form(request)
        arguments = {"rule_id": post.get("rule_id", ""), "minutes": 0}
        if not caller.may(Role.OPERATOR):
            return self._forbidden(request, caller, "snoozeFraudRule", arguments)
        try:
            group = json.loads(post.get("group", ""))
        except (ValueError, RecursionError):
            raise web.HTTPBadRequest from None
        context = self.context.asked_by(caller)
        outcome = await snooze_rule(context, post.get("rule_id", ""), group, 0, "", by=by(caller))
        why = outcome.error
        done = "done" if why is None else f"refused, {why.code}"
        audit.changed(caller, "snoozeFraudRule", arguments, done)
        if why is None:
            raise web.HTTPSeeOther(f"{RULES}?done=ended")
        status = 503 if why.code == RefusalCode.BROKER_UNAVAILABLE else 409
        return await self._page(request, status=status, problem=as_sentence(why.message))

    def _forbidden(
        self, request: web.Request, caller: Caller, what: str, arguments: Mapping[str, object]
    ) -> web.Response:
        audit.changed(caller, what, arguments, "FORBIDDEN")
        return self.pages.forbidden(request, Role.OPERATOR)

    async def _page(
        self, request: web.Request, *, status: int = 200, problem: str = ""
    ) -> web.Response:
        value = self.live.current.value
        now = from_ms(self.context.clock.now_ms())
        figures = await self.ports.alerts.figures(now - _COUNTED)
        warming = await self.ports.alerts.warming(now)
        reveals = reveals_of(request)
        return self.pages.render(
            request,
            "fraud_rules.html",
            reveals=reveals,
            status=status,
            is_on=value.enabled,
            warnings=self._warnings(),
            rules=[
                _ShownRule(
                    rule=rule,
                    sentence=as_sentence(sentence(rule)),
                    window=length(rule.window_seconds),
                    figures=figures.get(rule.id, RuleFigures()),
                    warming=warming.get(rule.id),
                )
                for rule in value.rules
            ],
            actions=_ACTIONS,
            snoozes=[self._snooze(it, value.rules, reveals) for it in in_force(value, now)],
            done=_DONE.get(request.query.get("done", ""), ""),
            problem=problem,
        )

    def _warnings(self) -> Sequence[str]:
        """What is wrong on this worker, such as a rule that is paused by its own budget."""
        status = self.context.plugins().get(NAME)
        told = status.findings() if status else ()
        return [f"{as_sentence(it.sentence)} {it.next_step}." for it in told]

    def _snooze(self, it: Snooze, rules: Sequence[Rule], reveals: Reveals) -> _ShownSnooze:
        rule = next((rule for rule in rules if rule.id == it.rule_id), None)
        references = self.context.references
        group = {str(name): value for name, value in it.group.items()}
        sent = {
            name: (references.of_customer if name == "customer_id" else references.of)(value)
            for name, value in group.items()
        }
        shown = shown_fields(reveals, group)
        if is_hash(group.get("customer_id", "")):
            shown["customer_id"] = f"{group['customer_id'][:8]}…"
        return _ShownSnooze(
            snooze=it,
            name=it.rule_id if rule is None else rule.name,
            whom=[who(name, value) for name, value in shown.items()] or ["everybody"],
            until=parse_utc(it.until),
            group=None if rule is None else json.dumps(sent),
        )
