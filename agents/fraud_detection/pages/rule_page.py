"""The form of one rule: add, edit, see what it would have done, save."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
from aiohttp import web

from agents.fraud_detection.configuration import FraudConfiguration
from agents.fraud_detection.events.outputs import FraudAlertRaised
from agents.fraud_detection.pages.page import RULES, Page, by
from agents.fraud_detection.pages.rule_edits import (
    check,
    is_changed_since,
    rules_in,
    with_rule,
)
from agents.fraud_detection.pages.rule_form import (
    LISTS,
    MAX_ROWS,
    OVER_FIELD,
    TypedRule,
    Wrong,
    new_rule,
    of_post,
    of_rule,
    wrong,
)
from agents.fraud_detection.preview import MAX_HOURS, Previewed, PreviewRefused
from agents.fraud_detection.previewing import preview_rule
from agents.fraud_detection.read_model.rows import stored_alert
from agents.fraud_detection.rules.fields import NUMBERS, TEXTS
from agents.fraud_detection.rules.rule import (
    EventType,
    Function,
    GroupField,
    Operator,
    Rule,
    RuleState,
    Severity,
)
from agents.fraud_detection.shown_names import shown_alert
from agents.fraud_detection.wording import reason, sentence
from posstream.configuration.editing import Changed, Note, RefusalCode
from posstream.configuration.model import read_value
from posstream.domain.errors import InvalidConfiguration
from posstream.domain.roles import Role
from posstream.domain.times import parse_utc
from web.access import audit
from web.access.guard import caller_of
from web.access.reveals import Reveals
from web.console.numbers import read_whole
from web.console.pages import reveals_of
from web.console.pages import sentence as as_sentence
from web.http.reading import read_form

_NEW: Final = f"{RULES}/new"
_HOURS: Final = ((1, "1 h"), (24, "24 h"), (MAX_HOURS, "7 days"))
_MEANWHILE: Final = (
    "Somebody else changed this rule while the form was open. What you typed is below, and nothing "
    "was saved. Look at the rule, and preview yours again to put it on top."
)
_WORDS: Final[Mapping[str, str]] = {
    Function.COUNT: "how many events",
    Function.SUM: "the sum of a field",
    Function.AVG: "the average of a field",
    Function.MIN: "the lowest value of a field",
    Function.MAX: "the highest value of a field",
    Function.COUNT_DISTINCT: "how many different values of a field",
    Function.RATIO: "the share of some events among all",
    Function.SEQUENCE: "events of one kind before an event of another kind",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """What the form shows beside what is typed."""

    wrong: Wrong = field(default_factory=Wrong)
    previewed: Previewed | PreviewRefused | None = None
    hours: int = 24


class RulePage(Page):
    """`/fraud/rules/new`, `/fraud/rules/edit/<id>`, and what the form posts to."""

    def routes(self) -> list[web.RouteDef]:
        """The form, empty and filled in, the preview and the saving."""
        return [
            web.get(_NEW, self.add),
            web.get(f"{RULES}/edit/{{rule_id}}", self.edit),
            web.post(f"{RULES}/preview", self.preview),
            web.post(RULES, self.save),
        ]

    async def add(self, request: web.Request) -> web.Response:
        """The form of a new rule."""
        if not caller_of(request).may(Role.OPERATOR):
            return self.pages.forbidden(request, Role.OPERATOR)
        newest = await self.live.latest()
        return self._form(request, new_rule(newest.version), "", _Shown())

    async def edit(self, request: web.Request) -> web.Response:
        """The form of a rule as it is in the newest version."""
        if not caller_of(request).may(Role.OPERATOR):
            return self.pages.forbidden(request, Role.OPERATOR)
        newest = await self.live.latest()
        rules = self.live.current.effective(newest).rules
        rule = next((it for it in rules if it.id == request.match_info["rule_id"]), None)
        if rule is None:
            why = "Somebody deleted it, or gave it another id."
            return self.pages.missing(request, "There is no such rule", why, (RULES, "Rules"))
        if any(len(getattr(rule, listed) or ()) > MAX_ROWS for listed in LISTS):
            why = f"It has more than {MAX_ROWS} conditions in a list: edit it as JSON."
            back = ("/configuration", "Configuration")
            return self.pages.missing(request, "This rule is too long for a form", why, back, 200)
        return self._form(request, of_rule(rule, newest.version), rule.id, _Shown())

    async def preview(self, request: web.Request) -> web.Response:
        """Say what the rule would have done; nothing is saved."""
        caller = caller_of(request)
        if not caller.may(Role.OPERATOR):
            return self.pages.forbidden(request, Role.OPERATOR)
        typed, was, post = await self._typed(request)
        found = await self._wrong(typed, was)
        if found.errors or found.problem:
            return self._form(request, typed, was, _Shown(wrong=found), status=422)
        hours = read_whole(post.get("hours", "")) or 24
        told = await preview_rule(self.context.asked_by(caller), typed.document(), hours)
        return self._form(request, typed, was, _Shown(previewed=told, hours=hours))

    async def save(self, request: web.Request) -> web.Response:
        """Write the rule, unless somebody else has changed it meanwhile."""
        caller = caller_of(request)
        typed, was, _ = await self._typed(request)
        arguments = {"rule_id": typed.text("id"), "was": was}
        if not caller.may(Role.OPERATOR):
            audit.changed(caller, "saveFraudRule", arguments, "FORBIDDEN")
            return self.pages.forbidden(request, Role.OPERATOR)
        found = await self._wrong(typed, was)
        if found.errors or found.problem:
            audit.changed(caller, "saveFraudRule", arguments, "refused")
            return self._form(request, typed, was, _Shown(wrong=found), status=422)
        newest = await self.live.latest()
        if await is_changed_since(self.live, newest, typed.version, was):
            audit.changed(caller, "saveFraudRule", arguments, "refused, CONFLICT")
            typed = TypedRule(typed.texts, newest.version, typed.description)
            shown = _Shown(wrong=Wrong(problem=_MEANWHILE))
            return self._form(request, typed, was, shown, status=409)
        rules = with_rule(rules_in(self.live, newest), typed.document(), was)
        what = f"{'edit' if was else 'add'} {typed.text('id')}"
        note = Note(
            by=by(caller),
            description=typed.description or what,
            expected_version=newest.version,
        )
        outcome = await self.live.edit({"rules": rules}, note=note)
        if isinstance(outcome, Changed):
            audit.changed(caller, "saveFraudRule", arguments, "done")
            raise web.HTTPSeeOther(f"{RULES}?done={'saved' if outcome.is_new else 'same'}")
        audit.changed(caller, "saveFraudRule", arguments, f"refused, {outcome.code}")
        shown = _Shown(wrong=Wrong(problem=as_sentence(outcome.message)))
        status = 503 if outcome.code == RefusalCode.BROKER_UNAVAILABLE else 409
        return self._form(request, typed, was, shown, status=status)

    async def _typed(self, request: web.Request) -> tuple[TypedRule, str, Mapping[str, str]]:
        post = await read_form(request)
        version = read_whole(post.get("expected_version", "")) or 0
        return of_post(post, version), post.get("was", ""), post

    async def _wrong(self, typed: TypedRule, was: str) -> Wrong:
        """What is wrong with a rule, in its place in the newest list."""
        if typed.missing:
            return Wrong(errors=typed.missing)
        newest = await self.live.latest()
        try:
            rules = with_rule(rules_in(self.live, newest), typed.document(), was)
            check(self.live, newest, rules)
        except InvalidConfiguration as why:
            return wrong(typed, why)
        return Wrong()

    def _form(
        self, request: web.Request, typed: TypedRule, was: str, shown: _Shown, *, status: int = 200
    ) -> web.Response:
        told, reveals = shown.previewed, reveals_of(request)
        refused = told.message if isinstance(told, PreviewRefused) else ""
        rule = _rule(typed)
        return self.pages.render(
            request,
            "fraud_rule.html",
            reveals=reveals,
            status=status,
            typed=typed,
            was=was,
            errors=shown.wrong.errors,
            problem=shown.wrong.problem,
            said=None if told is None or rule is None else as_sentence(sentence(rule)),
            previewed=told if isinstance(told, Previewed) else None,
            refused=refused and as_sentence(refused),
            alerts=_rows(told.alerts, rule, reveals) if isinstance(told, Previewed) else [],
            hours=shown.hours,
            many_hours=_HOURS,
            types=[it.value for it in EventType],
            groups=[it.value for it in GroupField],
            functions=[(it.value, _WORDS[it]) for it in Function],
            over_field=sorted(OVER_FIELD),
            states=[it.value for it in RuleState],
            severities=[it.value for it in Severity],
            operators=[it.value for it in Operator],
            limits=[it.value for it in Operator if it is not Operator.IN],
            numbers=sorted(NUMBERS),
            texts=sorted(TEXTS),
        )


def _rule(typed: TypedRule) -> Rule | None:
    """The rule that is typed; None if it cannot be read."""
    try:
        read: list[Rule] = read_value(FraudConfiguration, "rules", [typed.document()])
    except InvalidConfiguration:
        return None
    return read[0]


def _rows(
    alerts: Sequence[FraudAlertRaised], rule: Rule | None, reveals: Reveals
) -> list[dict[str, object]]:
    shown = [stored_alert(shown_alert(reveals, msgspec.to_builtins(it))) for it in alerts]
    return [
        {
            "at": parse_utc(it.occurred_at),
            "why": as_sentence(reason(it, rule)),
            "basket_id": it.basket_id,
        }
        for it in shown
    ]
