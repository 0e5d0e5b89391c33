"""Paths for programs: `/health/live`, `/health/ready`, `/metrics` and `/asyncapi.json`.

What liveness and readiness mean is decided by the class that implements `Health`.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiohttp import hdrs, web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from posstream.events.asyncapi import document
from posstream.findings import Finding
from posstream.plugin import Plugin
from web.folding import fitting
from web.http.answers import json_answer

logger = logging.getLogger(__name__)


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
    """Whether the worker is alive and ready. These run at each request: keep them cheap."""

    def live(self) -> HealthReport:
        """Whether the process should go on; if not, the supervisor restarts it."""
        ...

    def ready(self) -> HealthReport:
        """Whether the worker can answer: tables recovered, read model reachable."""
        ...

    def findings(self) -> Sequence[Finding]:
        """What is wrong on the worker, worst first."""
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
    return json_answer(document, status=200 if report.ok else 503)


def _status(report: HealthReport) -> str:
    if not report.ok:
        return "unavailable"
    return "degraded" if report.reasons else "ok"


def metrics_routes(registry: CollectorRegistry) -> list[web.RouteDef]:
    """`/metrics`: Prometheus' text format, or OpenMetrics."""

    async def metrics(request: web.Request) -> web.Response:
        try:
            encode, content_type = choose_encoder(request.headers.get(hdrs.ACCEPT, ""))
        except TypeError:  # raised for a version that is no number
            encode, content_type = choose_encoder("")
        return web.Response(body=encode(registry), headers={hdrs.CONTENT_TYPE: content_type})

    return [web.get("/metrics", metrics)]


def asyncapi_routes(plugins: Iterable[Plugin]) -> tuple[list[web.RouteDef], dict[str, str]]:
    """The route `/asyncapi.json`; its document does not change while the worker runs.

    Returns:
        the route, and why a plugin's events are not in the document, for each such plugin.
    """
    made, failures = fitting(
        {it.name: it for it in plugins}, lambda fit: document(fit.values()), _undescribed
    )

    async def asyncapi(_: web.Request) -> web.Response:
        return json_answer(made)

    return [web.get("/asyncapi.json", asyncapi)], failures


def _undescribed(plugin: str, why: BaseException) -> str:
    logger.error("the events of %s cannot be described", plugin, exc_info=why)
    return f"its events cannot be described ({type(why).__name__}: {why})"
