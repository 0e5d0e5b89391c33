"""The page of the outage drill: start one, watch what tills get, stop it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from agents.customer_lookup.drills.drill import DRILL_MARK, Drill, Fault, InvalidDrill, plan_drill
from agents.customer_lookup.lookup_split import LookupSplit, split
from agents.customer_lookup.pages.page import Page
from agents.customer_lookup.read_model.records import AnswerWindow, MarkedAttempts
from posstream.domain.errors import PublishFailed
from posstream.domain.roles import Caller, Role
from posstream.domain.times import from_ms
from web.access import audit
from web.access.guard import caller_of
from web.console.numbers import duration_ms, percent, read_whole
from web.http.reading import read_form

PATH: Final = "/drill"
#: The name of an operator who starts a drill if there are no keys.
STARTER: Final = "console"
FAULTS: Final = (
    (Fault.LATENCY, "Latency", "Calls answer late."),
    (Fault.ERRORS, "Errors", "Calls fail with HTTP status 503."),
    (Fault.TIMEOUTS, "Timeouts", "Calls get no answer at all."),
)
#: What the form shows first: enough to see something, harmless where the cache is warm.
_FIRST: Final = {"fault": "ERRORS", "percent": "50", "milliseconds": "2000", "minutes": "5"}
_DONE: Final = {
    "started": "The drill runs on every worker within 2 seconds, and ends by itself.",
    "stopped": "The drill is over on every worker within 2 seconds.",
    "over": "No drill runs.",
}


@dataclass(frozen=True, slots=True)
class Report:
    """What tills got during a drill, beside an equally long time before it."""

    during: LookupSplit
    before: LookupSplit
    during_p95_ms: int | None
    before_p95_ms: int | None
    attempts: MarkedAttempts


class DrillPage(Page):
    """`/drill`, for operators."""

    def routes(self) -> list[web.RouteDef]:
        """The page, the start and the stop."""
        return [
            web.get(PATH, self._get),
            web.post(PATH, self._start),
            web.post(f"{PATH}/stop", self._stop),
        ]

    async def _get(self, request: web.Request) -> web.Response:
        if not caller_of(request).may(Role.OPERATOR):
            return self.pages.forbidden(request, Role.OPERATOR)
        return await self._page(request)

    async def _start(self, request: web.Request) -> web.Response:
        caller = caller_of(request)
        post = await read_form(request)
        typed = {name: str(post.get(name, "")).strip() for name in _FIRST}
        if not caller.may(Role.OPERATOR):
            audit.changed(caller, "startDrill", typed, "FORBIDDEN")
            return self.pages.forbidden(request, Role.OPERATOR)
        drill = plan_drill(
            fault=typed["fault"],
            percent=read_whole(typed["percent"]),
            milliseconds=read_whole(typed["milliseconds"]),
            minutes=read_whole(typed["minutes"]),
            now_ms=self.context.clock.now_ms(),
            by=_by(caller),
        )
        if isinstance(drill, InvalidDrill):
            audit.changed(caller, "startDrill", typed, "refused")
            return await self._page(request, typed=typed, errors=drill.errors, status=422)
        try:
            started = await self.ports.drills.start(drill)
        except PublishFailed:
            audit.changed(caller, "startDrill", typed, "failed")
            return await self._page(request, typed=typed, problem=_NO_BROKER, status=503)
        audit.changed(caller, "startDrill", typed, "done" if started else "refused")
        if not started:
            problem = "A drill runs already. Stop it first."
            return await self._page(request, typed=typed, problem=problem, status=409)
        raise web.HTTPSeeOther(f"{PATH}?done=started")

    async def _stop(self, request: web.Request) -> web.Response:
        caller = caller_of(request)
        if not caller.may(Role.OPERATOR):
            audit.changed(caller, "stopDrill", {}, "FORBIDDEN")
            return self.pages.forbidden(request, Role.OPERATOR)
        try:
            stopped = await self.ports.drills.stop(_by(caller))
        except PublishFailed:
            audit.changed(caller, "stopDrill", {}, "failed")
            return await self._page(request, problem=_NO_BROKER, status=503)
        audit.changed(caller, "stopDrill", {}, "done" if stopped else "none ran")
        raise web.HTTPSeeOther(f"{PATH}?done={'stopped' if stopped else 'over'}")

    async def _page(self, request: web.Request, *, status: int = 200, **shown: Any) -> web.Response:
        drill = self.ports.drills.newest
        now_ms = self.context.clock.now_ms()
        values: dict[str, Any] = {"typed": _FIRST, "errors": {}, "problem": ""}
        return self.pages.render(
            request,
            "drill.html",
            status=status,
            drill=drill,
            runs=drill is not None and drill.runs(now_ms),
            over=drill is None or drill.is_over(now_ms),
            left_seconds=0 if drill is None else max(0, drill.ends_at_ms - now_ms) // 1000,
            started_at=None if drill is None else from_ms(drill.started_at_ms),
            ends_at=None if drill is None else from_ms(drill.ends_at_ms),
            report=None if drill is None else await self._report(drill, now_ms),
            faults=FAULTS,
            with_customer=_with_customer,
            stale=_stale,
            duration=duration_ms,
            lines=_LINES,
            done=_DONE.get(request.query.get("done", ""), ""),
            **(values | shown),
        )

    async def _report(self, drill: Drill, now_ms: int) -> Report:
        """The report, by three SQL statements for a drill of any length."""
        model = self.ports.read_model
        until_ms = max(drill.started_at_ms + 1, min(now_ms, drill.ends_at_ms))
        start, until = from_ms(drill.started_at_ms), from_ms(until_ms)
        before: AnswerWindow = await model.answer_window(start - (until - start), start)
        during = await model.answer_window(start, until)
        return Report(
            during=split(during.answers),
            before=split(before.answers),
            during_p95_ms=during.p95_ms,
            before_p95_ms=before.p95_ms,
            attempts=await model.marked_attempts(start, until, mark=DRILL_MARK),
        )


_NO_BROKER: Final = "The broker did not acknowledge it. Check that the broker runs, and try again."


def described(drill: Drill) -> str:
    """A drill in a few words."""
    what = {
        Fault.LATENCY: f"answer {drill.milliseconds:,} ms later",
        Fault.ERRORS: "fail with HTTP status 503",
        Fault.TIMEOUTS: "get no answer",
    }[drill.fault]
    return f"{drill.percent} % of the API calls {what}"


def _by(caller: Caller) -> str:
    return caller.name if caller.keyed else STARTER


def _share(part: int, it: LookupSplit) -> str:
    return percent(part / it.lookups if it.lookups else None)


def _with_customer(it: LookupSplit) -> str:
    return _share(it.fresh + it.stale + it.api, it)


def _stale(it: LookupSplit) -> str:
    return _share(it.stale, it)


#: The lines of the report.
_LINES: Final[Sequence[tuple[str, Callable[[LookupSplit], str]]]] = (
    ("All", lambda it: f"{it.lookups:,}"),
    ("With a customer", _with_customer),
    ("From the fresh cache", lambda it: _share(it.fresh, it)),
    ("From the stale cache", _stale),
    ("From the directory", lambda it: _share(it.api, it)),
    ("Unknown to the directory", lambda it: _share(it.unknown, it)),
    ("Failed", lambda it: _share(it.failed, it)),
)
