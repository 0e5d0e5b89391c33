"""The page of one alert: what made it, what became of it, its verdict, and a snooze."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from aiohttp import web

from agents.fraud_detection.pages.page import ALERTS, Page, alert_path, by
from agents.fraud_detection.pages.past_rules import rule_of
from agents.fraud_detection.pages.shown import shown_alert
from agents.fraud_detection.read_model.records import FraudAlert
from agents.fraud_detection.read_model.rows import stored_alert
from agents.fraud_detection.resolving import resolve_alert
from agents.fraud_detection.snoozed_groups import covers
from agents.fraud_detection.snoozing import MAX_MINUTES, in_force, snooze_rule
from agents.fraud_detection.verdict import MAX_NOTE, Verdict
from agents.fraud_detection.wording import sentence
from posstream.domain.roles import Role
from posstream.domain.times import from_ms, parse_utc, to_ms
from posstream.json.writing import write_json
from web.access import audit
from web.access.guard import caller_of
from web.console.numbers import read_whole
from web.console.pages import reveals_of, with_query
from web.console.pages import sentence as as_sentence
from web.graphql.context import Refused
from web.http.reading import read_form

_BACK: Final = (ALERTS, "Alerts")
_DONE: Final = {
    "verdict": "Your verdict is written.",
    "snoozed": "Snoozed. Alerts are listed as before, and are not published.",
}
_STATUS: Final = {"UNKNOWN_ALERT": 404, "BROKER_UNAVAILABLE": 503, "CONFLICT": 409}
#: What a verdict means, on its button.
_VERDICTS: Final = (
    (Verdict.CONFIRMED, "It was fraud", "danger"),
    (Verdict.FALSE_POSITIVE, "It was harmless", ""),
    (Verdict.UNDECIDED, "I cannot tell", "quiet"),
)
_FIRST: Final[Mapping[str, str]] = {"note": "", "minutes": "60", "reason": "", "scope": "group"}


@dataclass(frozen=True, slots=True)
class _Told:
    """What was typed, and why it was refused; by default an untouched page."""

    typed: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


class AlertPage(Page):
    """`/fraud/alerts/<alert_id>` and its forms."""

    def routes(self) -> list[web.RouteDef]:
        """The page, and what its forms post to."""
        path = f"{ALERTS}/{{alert_id:[^/]+}}"
        return [
            web.get(path, self.page),
            web.post(f"{path}/verdict", self.judge),
            web.post(f"{path}/snooze", self.snooze),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """The alert; 404 if it is not known."""
        row = await self.ports.alerts.by_id(request.match_info["alert_id"])
        return self._missing(request) if row is None else await self._page(request, row, _Told())

    async def judge(self, request: web.Request) -> web.Response:
        """Write a verdict with its note."""
        caller, post = caller_of(request), await read_form(request)
        alert_id, word = request.match_info["alert_id"], post.get("verdict", "")
        arguments = {"alert_id": alert_id, "verdict": word}
        if not caller.may(Role.OPERATOR):
            audit.changed(caller, "resolveFraudAlert", arguments, "FORBIDDEN")
            return self.pages.forbidden(request, Role.OPERATOR)
        if word not in set(Verdict):
            raise web.HTTPBadRequest
        note = post.get("note", "")
        outcome = await resolve_alert(
            self.context.asked_by(caller), alert_id, Verdict(word), note, by=by(caller)
        )
        audit.changed(caller, "resolveFraudAlert", arguments, _outcome(outcome.error))
        if outcome.error is not None:
            return await self._refused(request, outcome.error, {"note": note})
        judged = outcome.alert and outcome.alert.judged_at
        since = f"&judged={to_ms(judged)}" if judged else ""
        raise web.HTTPSeeOther(f"{alert_path(alert_id)}?done=verdict{since}")

    async def snooze(self, request: web.Request) -> web.Response:
        """Snooze the rule of the alert, for the alert's group or for all."""
        caller, post = caller_of(request), await read_form(request)
        alert_id = request.match_info["alert_id"]
        typed = {name: post.get(name, "").strip() for name in ("minutes", "reason", "scope")}
        arguments = {"alert_id": alert_id, "minutes": typed["minutes"], "scope": typed["scope"]}
        if not caller.may(Role.OPERATOR):
            audit.changed(caller, "snoozeFraudRule", arguments, "FORBIDDEN")
            return self.pages.forbidden(request, Role.OPERATOR)
        row = await self.ports.alerts.by_id(alert_id)
        if row is None:
            return self._missing(request)
        errors = _errors(typed)
        if errors:
            return await self._page(request, row, _Told(typed, errors), status=422)
        raised = stored_alert(row.document)
        outcome = await snooze_rule(
            self.context.asked_by(caller),
            raised.rule_id,
            raised.group if typed["scope"] == "group" else {},
            read_whole(typed["minutes"]) or 0,
            typed["reason"],
            by=by(caller),
        )
        audit.changed(caller, "snoozeFraudRule", arguments, _outcome(outcome.error))
        if outcome.error is not None:
            return await self._refused(request, outcome.error, typed)
        raise web.HTTPSeeOther(f"{alert_path(alert_id)}?done=snoozed")

    async def _refused(
        self, request: web.Request, why: Refused, typed: Mapping[str, str]
    ) -> web.Response:
        row = await self.ports.alerts.by_id(request.match_info["alert_id"])
        if row is None:
            return self._missing(request)
        status = _STATUS.get(why.code, 422)
        told = _Told(typed, problem=as_sentence(why.message))
        return await self._page(request, row, told, status=status)

    async def _page(
        self, request: web.Request, row: FraudAlert, told: _Told, *, status: int = 200
    ) -> web.Response:
        live, reveals = self.live, reveals_of(request)
        raised = stored_alert(row.document)
        rule = await rule_of(raised, live)
        rules = {it.id for it in live.current.value.rules}
        verdicts = await self.ports.alerts.verdicts([row.alert_id])
        done = request.query.get("done", "")
        return self.pages.render(
            request,
            "fraud_alert.html",
            reveals=reveals,
            status=status,
            it=shown_alert(row, rule, reveals),
            rule=rule,
            rule_sentence=None if rule is None else as_sentence(sentence(rule)),
            rule_json=None if rule is None else _indented(rule),
            is_there=raised.rule_id in rules,
            window=[parse_utc(raised.window_start), parse_utc(raised.window_end)],
            complete_from=raised.complete_from and parse_utc(raised.complete_from),
            verdicts=verdicts.get(row.alert_id, ()),
            choices=_VERDICTS,
            snoozes=[
                it
                for it in in_force(live.current.value, from_ms(self.context.clock.now_ms()))
                if covers(it, raised.rule_id, raised.group)
            ],
            waits=done == "verdict" and _is_behind(row, request.query.get("judged", "")),
            again=with_query(request),
            done=_DONE.get(done, ""),
            typed={**_FIRST, **told.typed},
            errors=told.errors,
            problem=told.problem,
            most_note=MAX_NOTE,
            reveal=with_query(request, reveal=None if reveals.in_full else "1"),
        )

    def _missing(self, request: web.Request) -> web.Response:
        return self.pages.missing(
            request,
            "There is no such alert",
            "It is not in the read model: it is older than alerts are kept, or on its way.",
            _BACK,
            awaited=True,
        )


def _errors(typed: Mapping[str, str]) -> dict[str, str]:
    errors = {}
    minutes = read_whole(typed["minutes"])
    if minutes is None or not 1 <= minutes <= MAX_MINUTES:
        errors["minutes"] = f"A whole number from 1 to {MAX_MINUTES:,}."
    if not typed["reason"]:
        errors["reason"] = "Tell your colleagues why."
    return errors


def _is_behind(row: FraudAlert, judged: str) -> bool:
    """Whether the read model does not have a verdict of this time yet."""
    since = read_whole(judged, digits=15)
    return since is not None and (row.judged_at is None or to_ms(row.judged_at) < since)


def _outcome(error: Refused | None) -> str:
    return "done" if error is None else f"refused, {error.code}"


def _indented(rule: Any) -> str:
    document = {
        name: value for name, value in msgspec.to_builtins(rule).items() if value is not None
    }
    return write_json(document, indented=True).decode()
