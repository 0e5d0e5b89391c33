"""The page of the fleet: all workers, and what is worked by hand on one of them or on all."""

from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from posstream.domain.errors import PublishFailed
from posstream.domain.roles import Role
from posstream.domain.times import from_ms
from posstream.fleet.controls import EVERY_WORKER, OfferedControl
from posstream.fleet.fleet import span
from web.access import audit
from web.access.guard import caller_of
from web.console.live import LivePages
from web.console.pages import Pages
from web.graphql.context import GraphQLContext
from web.http.reading import read_form

_PATH: Final = "/fleet"
_NEEDED: Final = Role.OPERATOR
#: The part that is kept up to date.
_PART: Final = "workers"
_NO_BROKER: Final = "The broker did not acknowledge it. Check that the broker runs, and try again."


@dataclass(eq=False)
class FleetPages:
    """`/fleet`, its live updates, and its forms."""

    pages: Pages
    context: GraphQLContext
    live: LivePages

    def routes(self) -> list[web.RouteDef]:
        """The page, the stream that keeps it up to date, and what its forms do."""
        return [
            web.get(_PATH, self._get),
            web.get(f"{_PATH}/live", self._follow),
            web.post(_PATH, self._post),
            web.post(f"{_PATH}/dismiss", self._dismiss),
        ]

    async def _get(self, request: web.Request) -> web.Response:
        return await self._page(request)

    async def _follow(self, request: web.Request) -> web.StreamResponse:
        return await self.live.stream(request, {_PART: self._workers})

    async def _post(self, request: web.Request) -> web.Response:
        caller, post = caller_of(request), await read_form(request)
        asked = {name: post.get(name, "") for name in ("plugin", "control", "action", "worker")}

        def tell(outcome: str) -> None:
            audit.changed(caller, "control", asked, outcome)

        if not caller.may(_NEEDED):
            tell("FORBIDDEN")
            return self.pages.forbidden(request, _NEEDED)
        offered = self._offered(asked)
        if offered is None:
            tell("refused")
            problem = "There is no such worker or action any more. Nothing was changed."
            return await self._page(request, problem=problem, status=409)
        try:
            await self.context.controls.say(
                offered, asked["action"], worker=asked["worker"], by=caller.name
            )
        except PublishFailed:
            tell("failed")
            return await self._page(request, problem=_NO_BROKER, status=503)
        tell("done")
        raise web.HTTPSeeOther(f"{_PATH}?done=1")

    async def _dismiss(self, request: web.Request) -> web.Response:
        caller, worker = caller_of(request), (await read_form(request)).get("worker", "")
        if not caller.may(_NEEDED):
            audit.changed(caller, "dismissWorker", {"worker": worker}, "FORBIDDEN")
            return self.pages.forbidden(request, _NEEDED)
        if worker not in {it.beat.worker for it in self.context.fleet.members if it.is_lost}:
            audit.changed(caller, "dismissWorker", {"worker": worker}, "refused")
            problem = "This worker is not lost any more. Nothing was changed."
            return await self._page(request, problem=problem, status=409)
        try:
            await self.context.controls.dismiss(worker)
        except PublishFailed:
            audit.changed(caller, "dismissWorker", {"worker": worker}, "failed")
            return await self._page(request, problem=_NO_BROKER, status=503)
        audit.changed(caller, "dismissWorker", {"worker": worker}, "done")
        raise web.HTTPSeeOther(f"{_PATH}?done=1")

    def _offered(self, asked: dict[str, str]) -> OfferedControl | None:
        """What is asked to be worked; None if that does not exist."""
        known = {EVERY_WORKER, *(it.beat.worker for it in self.context.fleet.members)}
        for it in self.context.controls.offered:
            if (it.plugin, it.control.name) == (asked["plugin"], asked["control"]):
                fits = asked["action"] in it.control.actions and asked["worker"] in known
                return it if fits else None
        return None

    async def _page(
        self, request: web.Request, *, problem: str = "", status: int = 200
    ) -> web.Response:
        return self.pages.render(
            request,
            "fleet.html",
            status=status,
            part=_PART,
            workers=await self._workers(),
            problem=problem,
            done=request.query.get("done") == "1" and not problem,
            members=self.context.fleet.members,
            offered=self.context.controls.offered,
            every_worker=EVERY_WORKER,
        )

    async def _workers(self) -> str:
        """The table of all workers, the same for everybody."""
        fleet = self.context.fleet
        now_ms = self.context.clock.now_ms()

        def up(started_at_ms: int) -> str:
            return span(max(0, now_ms - started_at_ms) / 1000)

        values: dict[str, Any] = {"hears": fleet.hears, "members": fleet.members}
        return self.pages.part("fleet_workers.html", **values, span=span, up=up, from_ms=from_ms)
