"""An outage, end to end: what people see of it, and what to do next, within 30 seconds"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import aiohttp
import pytest

from posstream import findings
from tests.chaos.checks import Publish, nothing_lost, restarted
from tests.chaos.stage import Stage
from tests.component.html_page import HtmlPage
from tests.integration.harness import Worker
from tests.servers import prometheus
from tests.servers.needed import need

#: Within this time everything says it, and as long after the repair nothing does.
WITHIN_SECONDS = 30
#: New customers, so that the directory is asked.
NEVER_SEEN = 10**6


@dataclass(frozen=True)
class Outage:
    """What is broken, and what must say so."""

    dead: Callable[[Stage, list[Worker]], contextlib.AbstractAsyncContextManager[None]]
    #: In the console's banner: what is wrong, and what to do next.
    banner: str
    next_step: str
    #: In the log, when it begins and when it is over.
    log: str
    over: str
    #: A metric, and its values when all is well and now.
    metric: str
    well: float
    broken: float
    alert: str
    #: In the alert's summary: what to do next.
    summary: str
    runbook: str


@contextlib.asynccontextmanager
async def directory_dead(stage: Stage, _workers: list[Worker]) -> AsyncIterator[None]:
    await stage.directory.die()
    try:
        yield
    finally:
        await stage.directory.listen()


@contextlib.asynccontextmanager
async def database_dead(stage: Stage, _workers: list[Worker]) -> AsyncIterator[None]:
    stage.database.kill()
    try:
        yield
    finally:  # it is that of all scenarios
        stage.database.start()
        await stage.database.ready()


@contextlib.asynccontextmanager
async def broker_dead(stage: Stage, _workers: list[Worker]) -> AsyncIterator[None]:
    stage.cluster.nodes[-1].kill()
    yield
    stage.cluster.nodes[-1].start()
    await stage.cluster.ready()


@contextlib.asynccontextmanager
async def worker_dead(_stage: Stage, workers: list[Worker]) -> AsyncIterator[None]:
    workers[-1].kill()
    yield
    await restarted(workers[-1])


OUTAGES = {
    "directory": Outage(
        dead=directory_dead,
        banner="the circuit breaker is open",
        next_step="Look at the directory: the breaker closes by itself when it answers",
        log="the circuit breaker is open",
        over="the circuit breaker is closed",
        metric="posstream_breaker_state",
        well=0,
        broken=2,
        alert="PosstreamBreakerOpen",
        summary="repair the directory",
        runbook="docs/runbooks/breaker-open.md",
    ),
    "database": Outage(
        dead=database_dead,
        banner="The database",
        next_step=findings.KNOWN[findings.DATABASE_AWAY][1],
        log="the database is away",
        over="the database is back",
        metric="posstream_database_up",
        well=1,
        broken=0,
        alert="PosstreamDatabaseAway",
        summary="repair the database",
        runbook="docs/runbooks/database-away.md",
    ),
    "broker": Outage(
        dead=broker_dead,
        banner="The broker",
        next_step=findings.KNOWN[findings.BROKER_MISSING][1],
        log="is away; 2 left",
        over="is back after",
        metric="posstream_brokers",
        well=3,
        broken=2,
        alert="PosstreamBrokerMissing",
        summary="start the missing one",
        runbook="docs/runbooks/broker-missing.md",
    ),
    "worker": Outage(
        dead=worker_dead,
        banner="is lost",
        next_step=findings.KNOWN[findings.WORKER_LOST][1],
        log="is lost",
        over="is back",
        metric="posstream_workers_lost",
        well=0,
        broken=1,
        alert="PosstreamWorkerLost",
        summary="start them again",
        runbook="docs/runbooks/worker-lost.md",
    ),
}


@pytest.mark.nodes(3)
@pytest.mark.parametrize(
    "what", [*list(OUTAGES)[:-1], pytest.param("worker", marks=pytest.mark.short)]
)
async def test_an_outage_is_told_within_30_seconds_and_clears_by_itself(
    stage: Stage, publish: Publish, what: str
) -> None:
    """Directory, database, broker or worker dies: banner, log, metric and alert say so."""
    need(prometheus)
    outage = OUTAGES[what]
    workers = await stage.started(2)
    # A breaker and the database are seen from any worker; the last one may be dead.
    watching = workers[0]
    with prometheus.server([f"127.0.0.1:{worker.port}" for worker in workers]) as alerts:
        await alerts.ready()
        await alerts.scrapes(len(workers))
        async with stage.till() as till:
            async with till.keeps_scanning(20, customers=NEVER_SEEN):
                seen = Watch(watching, alerts, outage)
                await seen.until(well=True)
                async with outage.dead(stage, workers):
                    told = await seen.until(well=False)
                    await seen.says_the_next_step()
                cleared = await seen.until(well=True)
                assert outage.over in watching.log
            count = await stage.settle(till)
    publish(count, f"{what}: told after {told}; over after {cleared}")
    if what == "directory":
        assert (count.lost, count.wrong, count.sql_missing) == (0, 0, 0)
    else:
        nothing_lost(count)


@dataclass
class Watch:
    """Looks at what people look at, as they would."""

    worker: Worker
    alerts: prometheus.Prometheus
    outage: Outage

    async def until(self, *, well: bool) -> str:
        """Wait until everything says that all is well, or that it is broken.

        Returns:
            After how many seconds each did.
        """
        asked: dict[str, Callable[[], Awaitable[bool]]] = {
            "banner": self._banner,
            "metric": lambda: self._metric(self.outage.well if well else self.outage.broken),
            "alert": self._alert,
        }
        if not well:
            asked["log"] = self._log
        began = time.monotonic()
        after: dict[str, float] = {}
        while len(after) < len(asked):
            for name, ask in asked.items():
                if name not in after and await ask() is (not well or name == "metric"):
                    after[name] = time.monotonic() - began
            waited = time.monotonic() - began
            assert waited < WITHIN_SECONDS, (
                f"{set(asked) - set(after)} do not say so; after seconds {after}; banner: "
                f"{(await self._overview())[:1000]}; alerts: {await self.alerts.firing()}"
            )
            await asyncio.sleep(0.2)
        return ", ".join(f"{name} {seconds:.0f} s" for name, seconds in after.items())

    async def says_the_next_step(self) -> None:
        assert self.outage.next_step in await self._overview()
        (annotations, *_) = (await self.alerts.firing())[self.outage.alert]
        assert self.outage.summary in annotations["summary"]
        assert annotations["runbook_url"] == self.outage.runbook

    async def _overview(self) -> str:
        browser = {"Accept": "text/html"}
        async with (
            aiohttp.ClientSession(headers=browser) as http,
            http.get(f"{self.worker.url}/") as page,
        ):
            return HtmlPage.of(await page.text()).text

    async def _banner(self) -> bool:
        return self.outage.banner in await self._overview()

    async def _log(self) -> bool:
        return self.outage.log in self.worker.log

    async def _metric(self, value: float) -> bool:
        return await self.worker.metric(self.outage.metric) == value

    async def _alert(self) -> bool:
        return self.outage.alert in await self.alerts.firing()
