"""Liveness and readiness over HTTP; what they mean is decided by whoever implements `Health`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiohttp import web

from web.http.json_answer import json_answer

_OK = 200
_UNAVAILABLE = 503


@dataclass(frozen=True, slots=True)
class HealthReport:
    """One judgement of the worker."""

    #: Whether it does its work; with reasons, it does so *degraded*.
    ok: bool
    #: Sentences that say what is wrong; empty when all is well.
    reasons: tuple[str, ...] = ()
    #: Numbers and names for people; shown beside the status.
    details: Mapping[str, Any] = field(default_factory=dict)


class Health(Protocol):
    """What the worker says of itself. Both are called per request, so they must be cheap."""

    def live(self) -> HealthReport:
        """Whether the process should go on; if not, the supervisor restarts it."""
        ...

    def ready(self) -> HealthReport:
        """Whether the worker can answer: tables recovered, read model reachable."""
        ...


def health_routes(health: Health) -> list[web.RouteDef]:
    """`/health/live` and `/health/ready`: 200 or 503, with the reasons."""

    async def live(_: web.Request) -> web.Response:
        return _answer(health.live())

    async def ready(_: web.Request) -> web.Response:
        return _answer(health.ready())

    return [web.get("/health/live", live), web.get("/health/ready", ready)]


def _answer(report: HealthReport) -> web.Response:
    document = {
        **report.details,
        "status": _status(report),
        "reasons": list(report.reasons),
    }
    return json_answer(document, status=_OK if report.ok else _UNAVAILABLE)


def _status(report: HealthReport) -> str:
    if not report.ok:
        return "unavailable"
    return "degraded" if report.reasons else "ok"
