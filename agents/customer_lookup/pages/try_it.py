"""*Try it*: scan a customer as a till would, and watch the answer arrive."""

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from agents.customer_lookup.directory.mock import CUSTOMERS
from agents.customer_lookup.pages.page import Page
from agents.customer_lookup.till import Outcome, identify_customer, start_basket
from posstream.domain.identifier import Identifier
from posstream.domain.roles import Role
from web.access import audit
from web.access.guard import caller_of
from web.console.numbers import read_whole
from web.console.part import TRIED
from web.graphql.context import MAX_TEXT, GraphQLContext, is_sound
from web.http.reading import read_form

_NEEDED: Final = Role.SUPPORT
#: What the form holds at first.
_FIRST: Final[Mapping[str, str]] = {"identifier": "", "employee": "1", "terminal": "console"}
#: GraphQL's Int, which `startBasket` takes.
_MAX_EMPLOYEE: Final = 2**31 - 1


class TryIt(Page):
    """`/try`."""

    def routes(self) -> list[web.RouteDef]:
        """The form, and what it sends."""
        return [web.get("/try", self.page), web.post("/try", self.scan)]

    async def page(self, request: web.Request) -> web.Response:
        """The form, filled in from the URL where that says something."""
        if not caller_of(request).may(_NEEDED):
            return self.pages.forbidden(request, _NEEDED)
        return self._form(request, {name: request.query.get(name, _FIRST[name]) for name in _FIRST})

    async def scan(self, request: web.Request) -> web.Response:
        """Start a basket, identify its customer, and lead to its timeline."""
        caller = caller_of(request)
        given = await read_form(request)
        typed = {name: str(given.get(name, "")).strip() for name in _FIRST}
        if not caller.may(_NEEDED):
            audit.changed(caller, "tryIt", {}, "FORBIDDEN")
            return self.pages.forbidden(request, _NEEDED)
        errors = self._errors(typed)
        if errors:
            return self._form(request, typed, errors, status=400)
        outcome = await self._tried(self.context.asked_by(caller), typed)
        done = "done" if outcome.error is None else f"refused, {outcome.error.code}"
        asked = {"basket_id": outcome.basket_id, "identifier": typed["identifier"]}
        audit.changed(caller, "tryIt", asked, done)
        if outcome.basket_id is None or outcome.error is not None:
            why = {"": outcome.error.message if outcome.error else "nothing was sent"}
            return self._form(request, typed, why, status=503)
        where = f"{self.basket_path(outcome.basket_id)}?done={TRIED}"
        return web.Response(status=303, headers={"Location": where})

    async def _tried(self, context: GraphQLContext, typed: Mapping[str, str]) -> Outcome:
        """What a till writes, one after the other; the outcome has the id of the basket."""
        started = await start_basket(context, int(typed["employee"]), typed["terminal"])
        if started.basket_id is None:
            return started
        identified = await identify_customer(context, started.basket_id, typed["identifier"])
        basket = {
            "basket_id": started.basket_id,
            "terminal_id": typed["terminal"],
            "employee_id": typed["employee"],
        }
        error = identified.error
        for step in self.pages.tried:
            error = error or await step.play(context, basket)
        return Outcome(success=error is None, basket_id=started.basket_id, error=error)

    def _errors(self, typed: Mapping[str, str]) -> dict[str, str]:
        """By field: why it cannot be sent. All before the first event is written."""
        errors = {}
        found = self.context.normalise(typed["identifier"])
        if not typed["identifier"]:
            errors["identifier"] = "Type or choose what the till scans."
        elif not isinstance(found, Identifier):
            errors["identifier"] = f"A till would be refused: {found.why}."
        employee = read_whole(typed["employee"])
        if employee is None or employee > _MAX_EMPLOYEE:
            errors["employee"] = f"A whole number from 0 to {_MAX_EMPLOYEE:,}."
        if not is_sound(typed["terminal"]):
            errors["terminal"] = f"1 to {MAX_TEXT} printable characters."
        return errors

    def _form(
        self,
        request: web.Request,
        typed: Mapping[str, str],
        errors: Mapping[str, str] | None = None,
        *,
        status: int = 200,
    ) -> web.Response:
        return self.pages.render(
            request,
            "try_it.html",
            status=status,
            typed=typed,
            errors=errors or {},
            customers=CUSTOMERS,
            steps=[step.words for step in self.pages.tried],
        )
