"""Liveness and readiness over HTTP."""

from collections.abc import AsyncIterator

import pytest

from tests.component.web_client import WebView, running_web
from web.programs import HealthReport


@pytest.fixture
async def web() -> AsyncIterator[WebView]:
    async with running_web() as view:
        yield view


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
async def test_a_healthy_worker_answers_200(web: WebView, path: str) -> None:
    response = await web.client.get(path)
    assert (response.status, await response.json()) == (200, {"status": "ok", "reasons": []})


async def test_a_degraded_worker_is_ready_and_says_what_is_wrong(web: WebView) -> None:
    web.health.readiness = HealthReport(ok=True, reasons=("a topic was given partitions",))
    response = await web.client.get("/health/ready")
    assert (response.status, await response.json()) == (
        200,
        {"status": "degraded", "reasons": ["a topic was given partitions"]},
    )


async def test_a_worker_that_is_not_ready_answers_503_with_its_reasons(web: WebView) -> None:
    web.health.readiness = HealthReport(
        ok=False, reasons=("tables are being recovered",), details={"partitions": 3}
    )
    response = await web.client.get("/health/ready")
    assert response.status == 503
    assert await response.json() == {
        "status": "unavailable",
        "reasons": ["tables are being recovered"],
        "partitions": 3,
    }


async def test_a_worker_that_does_its_work_and_has_a_reason_is_degraded(web: WebView) -> None:
    web.health.readiness = HealthReport(ok=True, reasons=("many dead letters",))
    response = await web.client.get("/health/ready")
    assert response.status == 200
    assert await response.json() == {"status": "degraded", "reasons": ["many dead letters"]}


async def test_a_worker_that_is_not_ready_may_well_be_alive(web: WebView) -> None:
    web.health.readiness = HealthReport(ok=False, reasons=("tables are being recovered",))
    response = await web.client.get("/health/live")
    assert response.status == 200


async def test_a_stalled_worker_is_not_alive(web: WebView) -> None:
    web.health.liveness = HealthReport(ok=False, reasons=("no commit for 60 s",))
    response = await web.client.get("/health/live")
    assert response.status == 503


async def test_details_cannot_hide_the_status(web: WebView) -> None:
    web.health.liveness = HealthReport(ok=False, details={"status": "ok"})
    response = await web.client.get("/health/live")
    assert (await response.json())["status"] == "unavailable"
