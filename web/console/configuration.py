"""The page of the live configuration: its form, the diff before saving, and its history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from aiohttp import web

from agents.customer_lookup.configuration import PLUGIN, json_schema
from agents.customer_lookup.directory.trial import NotTried
from agents.customer_lookup.pages.configuration_effects import breaker_rules
from agents.customer_lookup.pages.trial_result import TrialResult, trial_result
from posstream.configuration.editing import Changed, Note, RefusalCode, Refused
from posstream.configuration.version import ConfigurationChange, ConfigurationVersion
from posstream.domain.roles import Caller, Role
from posstream.domain.times import from_ms
from posstream.resilience.breaker import Rules
from web import audit
from web.access import caller_of
from web.console import configuration_form as form
from web.console.configuration_form import Difference, Edit, Typed
from web.console.configuration_history import editions, failed_ratio, find, numbers
from web.console.numbers import percent
from web.console.pages import Pages
from web.form import read_form
from web.graphql.context import GraphQLContext
from web.json_answer import json_answer
from web.reveals import Reveals

PATH: Final = "/configuration"
#: Who an edit is by, in the history, where no key says it.
EDITOR: Final = "console"
#: Versions that the history shows, and the most that it can.
SHOWN: Final = 10
MOST_SHOWN: Final = 500
#: How far back answers count for a version: as long as topics keep them.
ANSWERS_OF: Final = timedelta(days=7)
#: Breaker by hand: what the form says -> method of the breaker and what to tell afterwards.
_BREAKER: Final = {"open": "breaker-open", "close": "breaker-closed", "reset": "breaker-auto"}
#: What was done, by the word in the query after a change.
_DONE: Final = {
    "saved": "Saved. Every worker goes by it within 2 seconds.",
    "rolled-back": "Rolled back, as a new version. Every worker goes by it within 2 seconds.",
    "same": "Nothing changed: the newest version has these values already.",
    "breaker-open": "This worker's breaker is held open: no call leaves this worker.",
    "breaker-closed": "This worker's breaker is held closed: every call goes out.",
    "breaker-auto": "This worker's breaker goes by its rules again.",
}
_STATUS: Final = {
    RefusalCode.CONFLICT: 409,
    RefusalCode.INVALID_CONFIGURATION: 422,
    RefusalCode.UNKNOWN_VERSION: 404,
    RefusalCode.BROKER_UNAVAILABLE: 503,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the page shows beside the newest version; by default a form nobody touched."""

    typed: Typed | None = None
    errors: Mapping[str, str] | None = None
    #: What would change; None: nobody asked.
    changes: Sequence[Difference] | None = None
    #: The versions that others made while the form was open.
    meanwhile: Sequence[ConfigurationChange] = ()
    trial: TrialResult | None = None
    problem: str = ""


class ConfigurationPage:
    """`/configuration` and its forms; everything works without script."""

    def __init__(self, pages: Pages, ports: GraphQLContext) -> None:
        self._pages = pages
        self._ports = ports
        self._live = ports.configurations[PLUGIN]

    def routes(self) -> list[web.RouteDef]:
        """The page, the schema, and what its forms post to."""
        return [
            web.get(PATH, self._get),
            web.get(f"{PATH}/schema.json", self._schema),
            web.post(PATH, self._save),
            web.post(f"{PATH}/preview", self._preview),
            web.post(f"{PATH}/try", self._try),
            web.post(f"{PATH}/breaker", self._breaker),
            web.get(f"{PATH}/rollback", self._ask_rollback),
            web.post(f"{PATH}/rollback", self._rollback),
        ]

    async def _get(self, request: web.Request) -> web.Response:
        return await self._page(request, Shown())

    async def _schema(self, _: web.Request) -> web.Response:
        return json_answer(
            json_schema(self._live.current.defaults), media_type="application/schema+json"
        )

    async def _preview(self, request: web.Request) -> web.Response:
        if not caller_of(request).may(Role.OPERATOR):
            return self._pages.forbidden(request, Role.OPERATOR)
        typed = Typed.of_post(await read_form(request))
        newest = await self._live.latest()
        meanwhile = await self._since(typed.version, newest)
        if meanwhile:
            typed = typed.rebased(newest)
        edit = form.read_edit(typed)
        shown = Shown(
            typed=typed,
            errors=edit.errors,
            changes=None if edit.errors else self._differences(newest, edit),
            meanwhile=meanwhile,
        )
        return await self._page(request, shown, newest=newest)

    async def _save(self, request: web.Request) -> web.Response:
        caller = caller_of(request)
        typed = Typed.of_post(await read_form(request))
        edit = form.read_edit(typed)
        if not caller.may(Role.OPERATOR):
            _log(caller, "updatePluginConfiguration", edit.config, "FORBIDDEN")
            return self._pages.forbidden(request, Role.OPERATOR)
        if edit.errors or edit.is_empty:
            shown = Shown(typed=typed, errors=edit.errors, changes=None if edit.errors else ())
            return await self._page(request, shown, status=422)
        note = Note(by=_by(caller), description=typed.description, expected_version=typed.version)
        outcome = await self._live.edit(edit.config, enabled=edit.enabled, note=note)
        _log(caller, "updatePluginConfiguration", edit.config, _outcome(outcome))
        if isinstance(outcome, Changed):
            raise web.HTTPSeeOther(f"{PATH}?done={'saved' if outcome.is_new else 'same'}")
        newest = await self._live.latest()
        errors, problem = _told(outcome)
        meanwhile = await self._since(typed.version, newest)
        typed = typed.rebased(newest)
        changes = None if errors else self._differences(newest, form.read_edit(typed))
        shown = Shown(
            typed=typed, errors=errors, changes=changes, meanwhile=meanwhile, problem=problem
        )
        return await self._page(request, shown, status=_STATUS[outcome.code], newest=newest)

    async def _try(self, request: web.Request) -> web.Response:
        caller = caller_of(request)
        typed = Typed.of_post(await read_form(request))
        endpoint = typed.texts["api_endpoint"] or self._live.current.defaults.api_endpoint
        arguments = {"api_endpoint": endpoint, "identifier": typed.identifier}
        if not caller.may(Role.OPERATOR):
            audit.changed(caller, "tryDirectory", arguments, "FORBIDDEN")
            return self._pages.forbidden(request, Role.OPERATOR)
        if not self._ports.budget.allows(caller, "tryDirectory"):
            audit.changed(caller, "tryDirectory", arguments, "refused, TOO_MANY_LOOKUPS")
            return self._pages.too_many_lookups(request)
        tried = await self._ports.ports(PLUGIN).directory_trial(typed.identifier, endpoint)
        if isinstance(tried, NotTried):
            audit.changed(caller, "tryDirectory", arguments, "refused")
            return await self._page(request, Shown(typed=typed, errors=tried.errors))
        audit.changed(caller, "tryDirectory", arguments, tried.outcome.attempt.status)
        result = trial_result(tried, Reveals(caller, asked=False))
        return await self._page(request, Shown(typed=typed, trial=result))

    async def _breaker(self, request: web.Request) -> web.Response:
        caller = caller_of(request)
        action = (await read_form(request)).get("action")
        if not isinstance(action, str) or action not in _BREAKER:
            raise web.HTTPBadRequest
        if not caller.may(Role.OPERATOR):
            audit.changed(caller, "controlBreaker", {"action": action}, "FORBIDDEN")
            return self._pages.forbidden(request, Role.OPERATOR)
        _, breaker = self._ports.ports(PLUGIN).breaker()
        getattr(breaker, action)()
        audit.changed(caller, "controlBreaker", {"action": action}, "done")
        raise web.HTTPSeeOther(f"{PATH}?done={_BREAKER[action]}")

    async def _ask_rollback(self, request: web.Request) -> web.Response:
        """The question before a rollback, with what it would change."""
        if not caller_of(request).may(Role.OPERATOR):
            return self._pages.forbidden(request, Role.OPERATOR)
        return await self._rollback_page(request, request.query.get("to", ""))

    async def _rollback(self, request: web.Request) -> web.Response:
        caller = caller_of(request)
        post = await read_form(request)
        to, seen = (str(post.get(name, "")) for name in ("to", "expected_version"))
        if not caller.may(Role.OPERATOR):
            _log(caller, "rollback", {"to": to}, "FORBIDDEN")
            return self._pages.forbidden(request, Role.OPERATOR)
        number, expected = _number(to), _number(seen)
        if number is None or expected is None:
            raise web.HTTPBadRequest
        note = Note(by=_by(caller), expected_version=expected)
        outcome = await self._live.rollback(number, note=note)
        audit.changed(caller, "rollback", {"to": number}, _outcome(outcome))
        if isinstance(outcome, Changed):
            raise web.HTTPSeeOther(f"{PATH}?done={'rolled-back' if outcome.is_new else 'same'}")
        return await self._rollback_page(
            request, to, problem=outcome.message, status=_STATUS[outcome.code]
        )

    async def _rollback_page(
        self, request: web.Request, to: str, *, problem: str = "", status: int = 200
    ) -> web.Response:
        newest = await self._live.latest()
        number = _number(to)
        history = await self._live.history(MOST_SHOWN)
        target = None if number is None else find(history, number)
        if target is None:
            raise web.HTTPNotFound
        return self._pages.render(
            request,
            "rollback.html",
            status=status,
            newest=newest,
            target=target,
            changes=form.differences(newest, target, self._live.current),
            problem=problem,
        )

    async def _page(
        self,
        request: web.Request,
        shown: Shown,
        *,
        status: int = 200,
        newest: ConfigurationVersion | None = None,
    ) -> web.Response:
        """The page; three statements at most, whatever is shown."""
        newest = newest or await self._live.latest()
        current = self._live.current
        many = min(max(_number(request.query.get("versions", "")) or SHOWN, 1), MOST_SHOWN)
        history = await self._live.history(MOST_SHOWN)
        since = from_ms(self._ports.clock.now_ms()) - ANSWERS_OF
        answers = await self._ports.ports(PLUGIN).read_model.answers_by_version(
            numbers(history[: many + 1]), since
        )
        endpoint, breaker = self._ports.ports(PLUGIN).breaker()
        typed = shown.typed or Typed.of_version(newest)
        errors = shown.errors or {}
        return self._pages.render(
            request,
            "configuration.html",
            status=status,
            newest=newest,
            in_force=current.in_force.version,
            fields=form.fields(typed, errors, newest, history, current),
            typed=typed,
            errors=errors,
            changes=shown.changes,
            meanwhile=[(one.version, self._changed(one)) for one in shown.meanwhile],
            trial=shown.trial,
            problem=shown.problem,
            done=_DONE.get(request.query.get("done", ""), ""),
            editions=editions(history, many, answers, current),
            older=min(many * 5, MOST_SHOWN) if len(history) > many else 0,
            endpoint=endpoint,
            breaker=breaker,
            rules=breaker_rules(Rules()),
            percent=percent,
            failed=failed_ratio,
        )

    def _differences(self, newest: ConfigurationVersion, edit: Edit) -> list[Difference]:
        config = {**newest.config, **edit.config}
        edited = ConfigurationVersion(
            newest.version + 1,
            newest.enabled if edit.enabled is None else edit.enabled,
            {key: value for key, value in config.items() if value is not None},
        )
        return form.differences(newest, edited, self._live.current)

    def _changed(self, change: ConfigurationChange) -> list[Difference]:
        replaced = ConfigurationVersion(0, change.old_enabled, change.old_config)
        return form.differences(replaced, change.version, self._live.current)

    async def _since(
        self, seen: int, newest: ConfigurationVersion
    ) -> Sequence[ConfigurationChange]:
        """What others changed since a form was opened, newest first."""
        if newest.version <= seen:
            return ()
        return [one for one in await self._live.history(SHOWN) if one.version.version > seen]


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None  # noqa: PLR2004


def _by(caller: Caller) -> str:
    return caller.name if caller.keyed else EDITOR


def _log(caller: Caller, what: str, config: Mapping[str, Any], outcome: str) -> None:
    audit.changed(caller, what, {"config": config}, outcome)


def _outcome(outcome: Changed | Refused) -> str:
    return "done" if isinstance(outcome, Changed) else f"refused, {outcome.code}"


def _told(refused: Refused) -> tuple[dict[str, str], str]:
    """Messages at fields, and one for the whole form."""
    if refused.code is RefusalCode.INVALID_CONFIGURATION:
        key, _, why = refused.message.partition(": ")
        return {key: why}, ""
    if refused.code is RefusalCode.CONFLICT:
        return {}, ""  # what others changed says it
    return {}, refused.message
