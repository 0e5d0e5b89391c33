"""The page of the live configuration: its form, the diff before saving, and its history."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from posstream.configuration.editing import Changed, LiveConfiguration, Note, RefusalCode, Refused
from posstream.configuration.model import json_schema
from posstream.configuration.version import UNEDITED, ConfigurationChange, ConfigurationVersion
from posstream.domain.errors import DatabaseAway, InvalidConfiguration, PosstreamError
from posstream.domain.roles import Caller, Role
from web.access import audit
from web.access.guard import caller_of
from web.console.configuration_extra import ConfigurationExtra
from web.console.configuration_form import Difference, Form, Typed
from web.console.numbers import read_whole
from web.console.pages import Pages, sentence
from web.graphql.context import GraphQLContext
from web.http.answers import json_answer, new_reference
from web.http.reading import read_form

logger = logging.getLogger(__name__)

PATH: Final = "/configuration"
#: The name of an editor in the history if there are no keys.
EDITOR: Final = "console"
#: Versions that the history shows, and the most that it can.
SHOWN: Final = 10
MOST_SHOWN: Final = 500
#: What was done, by the word in the query after a change.
_DONE: Final = {
    "saved": "Saved. Every worker uses it within 2 seconds.",
    "rolled-back": "Rolled back, as a new version. Every worker uses it within 2 seconds.",
    "same": "Nothing changed: the newest version has these values already.",
}
_STATUS: Final = {
    RefusalCode.CONFLICT: 409,
    RefusalCode.INVALID_CONFIGURATION: 422,
    RefusalCode.UNKNOWN_VERSION: 404,
    RefusalCode.BROKER_UNAVAILABLE: 503,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the page shows beside the newest version; by default an untouched form."""

    typed: Typed | None = None
    errors: Mapping[str, str] | None = None
    #: What would change; None: not asked for.
    changes: Sequence[Difference] | None = None
    #: The versions that others made while the form was open.
    meanwhile: Sequence[ConfigurationChange] = ()
    #: Values of the plugin's own part that replace those of `ConfigurationExtra.shown`.
    own: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
    #: Whether the database is away: the page shows what is in force, without any history.
    is_away: bool = False


def configuration_routes(
    pages: Pages, context: GraphQLContext, extras: Mapping[str, ConfigurationExtra]
) -> list[web.RouteDef]:
    """The pages of all plugins' live configurations.

    That of the default plugin is `PATH` itself, and has pages below such as `PATH/rollback`. Those
    of the others are below `PATH/plugin/`, so that a plugin may be named `rollback`. If the default
    plugin has no configuration, `PATH` is the page of another one.

    Args:
        pages: of the console.
        context: what the pages read and change, as GraphQL does.
        extras: by plugin, what it adds to its page.
    """
    configurations = context.configurations
    first = configurations.default
    if first not in configurations:
        first = next(iter(configurations), "")
    paths = {name: PATH if name == first else f"{PATH}/plugin/{name}" for name in configurations}

    async def to_first(_: web.Request) -> web.Response:
        raise web.HTTPFound(PATH)

    return [
        # Whoever knows a plugin by its name alone finds its page below `PATH/plugin/`.
        web.get(f"{PATH}/plugin/{first}", to_first),
        *(
            route
            for name, live in configurations.items()
            for route in ConfigurationPage(
                live, paths, extras.get(name) or ConfigurationExtra(pages)
            ).routes()
        ),
    ]


@dataclass(eq=False)
class ConfigurationPage:
    """The page of one plugin's live configuration and its forms; all works without script."""

    live: LiveConfiguration[Any]
    #: The pages of all plugins, by plugin.
    paths: Mapping[str, str]
    #: What the plugin adds.
    extra: ConfigurationExtra

    def __post_init__(self) -> None:
        self.path = self.paths[self.live.plugin]
        self.form = Form(self.live.current, self.extra.effect)
        self._pages = self.extra.pages

    def routes(self) -> list[web.RouteDef]:
        """The page, the schema, and what its forms post to."""
        path = self.path
        return [
            web.get(path, self._get),
            web.get(f"{path}/schema.json", self._schema),
            web.post(path, self._save),
            web.post(f"{path}/preview", self._preview),
            web.get(f"{path}/rollback", self._ask_rollback),
            web.post(f"{path}/rollback", self._rollback),
            *self.extra.routes(self),
        ]

    async def _get(self, request: web.Request) -> web.Response:
        try:
            return await self.show(request, Shown())
        except DatabaseAway:
            # What is in force came from the topic, so it is known without the database.
            shown = Shown(is_away=True)
            return await self.show(request, shown, newest=self.live.current.in_force)

    async def _schema(self, _: web.Request) -> web.Response:
        return json_answer(
            json_schema(self.live.current.defaults, self.live.plugin),
            media_type="application/schema+json",
        )

    async def _preview(self, request: web.Request) -> web.Response:
        if not caller_of(request).may(Role.OPERATOR):
            return self._pages.forbidden(request, Role.OPERATOR)
        typed = self.form.of_post(await read_form(request))
        newest = await self.live.latest()
        meanwhile = await self._since(typed.version, newest)
        if meanwhile:
            typed = self.form.rebased(typed, newest)
        edit = self.form.read_edit(typed)
        errors, problem = edit.errors, ""
        if not errors:
            errors, problem = self._together(edit.on(newest))
        shown = Shown(
            typed=typed,
            errors=errors,
            changes=None if errors or problem else self.form.differences(newest, edit.on(newest)),
            meanwhile=meanwhile,
            problem=problem,
        )
        return await self.show(request, shown, newest=newest)

    async def _save(self, request: web.Request) -> web.Response:
        caller = caller_of(request)
        typed = self.form.of_post(await read_form(request))
        edit = self.form.read_edit(typed)
        if not caller.may(Role.OPERATOR):
            self._log(caller, "updatePluginConfiguration", {"config": edit.config}, "FORBIDDEN")
            return self._pages.forbidden(request, Role.OPERATOR)
        if edit.errors or edit.is_empty:
            shown = Shown(typed=typed, errors=edit.errors, changes=None if edit.errors else ())
            return await self.show(request, shown, status=422)
        note = Note(by=_by(caller), description=typed.description, expected_version=typed.version)
        outcome = await self.live.edit(edit.config, enabled=edit.enabled, note=note)
        self._log(caller, "updatePluginConfiguration", {"config": edit.config}, _outcome(outcome))
        if isinstance(outcome, Changed):
            raise web.HTTPSeeOther(f"{self.path}?done={'saved' if outcome.is_new else 'same'}")
        newest = await self.live.latest()
        errors, problem = self._told(outcome)
        meanwhile = await self._since(typed.version, newest)
        typed = self.form.rebased(typed, newest)
        changes = None
        if not errors:
            changes = self.form.differences(newest, self.form.read_edit(typed).on(newest))
        shown = Shown(
            typed=typed, errors=errors, changes=changes, meanwhile=meanwhile, problem=problem
        )
        return await self.show(request, shown, status=_STATUS[outcome.code], newest=newest)

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
            self._log(caller, "rollback", {"to": to}, "FORBIDDEN")
            return self._pages.forbidden(request, Role.OPERATOR)
        number, expected = read_whole(to), read_whole(seen)
        if number is None or expected is None:
            raise web.HTTPBadRequest
        note = Note(by=_by(caller), expected_version=expected)
        outcome = await self.live.rollback(number, note=note)
        self._log(caller, "rollback", {"to": number}, _outcome(outcome))
        if isinstance(outcome, Changed):
            raise web.HTTPSeeOther(
                f"{self.path}?done={'rolled-back' if outcome.is_new else 'same'}"
            )
        return await self._rollback_page(
            request, to, problem=outcome.message, status=_STATUS[outcome.code]
        )

    async def _rollback_page(
        self, request: web.Request, to: str, *, problem: str = "", status: int = 200
    ) -> web.Response:
        newest = await self.live.latest()
        number = read_whole(to)
        history = await self.live.history(MOST_SHOWN)
        versions = (UNEDITED, *(one.version for one in history))
        target = next((one for one in versions if one.version == number), None)
        if target is None:
            raise web.HTTPNotFound
        return self._pages.render(
            request,
            "rollback.html",
            status=status,
            newest=newest,
            target=target,
            changes=self.form.differences(newest, target),
            at=self.path,
            problem=problem,
        )

    async def show(
        self,
        request: web.Request,
        shown: Shown,
        *,
        status: int = 200,
        newest: ConfigurationVersion | None = None,
    ) -> web.Response:
        """Render the page, with three SQL statements at most.

        Raises:
            DatabaseAway: unless `shown` says that it is, and `newest` is given.
        """
        newest = newest or await self.live.latest()
        current = self.live.current
        many = min(max(read_whole(request.query.get("versions", "")) or SHOWN, 1), MOST_SHOWN)
        history = [] if shown.is_away else await self.live.history(MOST_SHOWN)
        typed = shown.typed or self.form.of_version(newest)
        errors = shown.errors or {}
        compared = {0, *(one.version.version for one in history[: many + 1])}
        extra, own, outcomes, trouble = await self._own(set() if shown.is_away else compared)
        return extra.pages.render(
            request,
            "configuration.html",
            status=status,
            at=self.path,
            plugins=[(path, plugin_title(name)) for name, path in self.paths.items()],
            extra=extra,
            own={**own, **shown.own},
            newest=newest,
            in_force=current.in_force.version,
            fields=self.form.fields(typed, errors, newest, history),
            typed=typed,
            errors=errors,
            changes=shown.changes,
            meanwhile=[(one.version, self.form.changes_of(one)) for one in shown.meanwhile],
            problem=shown.problem,
            trouble=trouble,
            is_away=shown.is_away,
            done={**_DONE, **extra.done}.get(request.query.get("done", ""), ""),
            editions=self.form.editions(history, many, outcomes),
            older=min(many * 5, MOST_SHOWN) if len(history) > many else 0,
        )

    async def _own(
        self, versions: set[int]
    ) -> tuple[ConfigurationExtra, Mapping[str, Any], Mapping[int, Any], str]:
        """What the plugin adds, or an error; the page still works: an edit may cure the plugin.

        Args:
            versions: those whose outcomes are compared; none if the database is away.
        """
        extra = self.extra
        try:
            outcomes = await extra.outcomes(versions) if versions else {}
            return extra, await extra.shown(), outcomes, ""
        except PosstreamError as why:
            logger.warning("the configuration page of %s lacks its own part: %s", self.path, why)
            told = str(why)
        except (Exception, SystemExit):
            reference = new_reference()
            logger.exception("the part of %s failed, reference %s", self.path, reference)
            told = f"what {self.live.plugin} adds cannot be shown, reference {reference}"
        return ConfigurationExtra(self._pages), {}, {}, sentence(told)

    def _together(self, edited: ConfigurationVersion) -> tuple[dict[str, str], str]:
        """Check the keys of a version against each other; errors as in `_told`."""
        try:
            self.live.current.effective(edited)
        except InvalidConfiguration as why:
            errors = self.form.told(why.key, why.why)
            return errors, "" if errors else str(why)
        return {}, ""

    def _told(self, refused: Refused) -> tuple[dict[str, str], str]:
        """Messages at fields, and one for the whole form."""
        if refused.code is RefusalCode.CONFLICT:
            return {}, ""  # the page shows what others changed
        if refused.code is RefusalCode.INVALID_CONFIGURATION:
            key, _, why = refused.message.partition(": ")
            errors = self.form.told(key, why)
            return errors, "" if errors else refused.message
        return {}, refused.message

    def _log(self, caller: Caller, what: str, arguments: Mapping[str, Any], outcome: str) -> None:
        named = {} if self.path == PATH else {"name": self.live.plugin}
        audit.changed(caller, what, {**named, **arguments}, outcome)

    async def _since(
        self, seen: int, newest: ConfigurationVersion
    ) -> Sequence[ConfigurationChange]:
        """What others changed since a form was opened, newest first."""
        if newest.version <= seen:
            return ()
        return [one for one in await self.live.history(SHOWN) if one.version.version > seen]


def _by(caller: Caller) -> str:
    return caller.name if caller.keyed else EDITOR


def _outcome(outcome: Changed | Refused) -> str:
    return "done" if isinstance(outcome, Changed) else f"refused, {outcome.code}"


def plugin_title(name: str) -> str:
    """The name of a plugin as people read it."""
    return name.replace("_", " ").capitalize()
