"""The supervisor of the plugins: one that fails stops no other, and a worker with none ends."""

import asyncio
import gc
import logging
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from mode import Service

from posstream.domain.errors import PluginFailed, PublishFailed
from posstream.kafka.tuning import Tuning
from posstream.metrics import Metrics
from posstream.plugin import Built, Plugin
from posstream.plugins.found import Plugins
from posstream.plugins.running import RunningPlugin
from posstream.plugins.status import PluginState
from posstream.plugins.supervisor import Supervisor

RUNNING, FAILED, STARTING = PluginState.RUNNING, PluginState.FAILED, PluginState.STARTING


class FakeApp(Service):
    """An app that starts when it may, and crashes when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.may_start = asyncio.Event()
        self.may_start.set()
        self.refusal: Exception | None = None
        self.has_consumer = False
        self.rebalancing_count = 0
        self.tuning = Tuning()

    async def on_start(self) -> None:
        if self.refusal is not None:
            raise self.refusal
        await self.may_start.wait()


class Workshop:
    """Makes the plugins' apps."""

    def __init__(self) -> None:
        self.apps: dict[str, list[FakeApp]] = {}
        self.broken: dict[str, Exception] = {}

    def make(self, plugin: Plugin) -> RunningPlugin:
        if plugin.name in self.broken:
            raise self.broken[plugin.name]
        app: Any = FakeApp()
        self.apps.setdefault(plugin.name, []).append(app)
        watch: Any = SimpleNamespace(held_back=0, is_stalled=False, findings=())
        return RunningPlugin(app, Built(ports=len(self.apps[plugin.name])), watch)

    def app(self, name: str) -> FakeApp:
        return self.apps[name][-1]


def plugins(*names: str, failed: dict[str, Exception] | None = None) -> Plugins:
    made = [Plugin(name=it, description="", build=lambda _: Built()) for it in names]
    return Plugins(tuple(made), failed or {})


def no_pauses() -> Iterator[float]:
    while True:
        yield 0.0


@asynccontextmanager
async def supervised(found: Plugins, workshop: Workshop, **options: Any) -> AsyncIterator[Any]:
    supervisor = Supervisor(
        found,
        make=workshop.make,
        prepare=lambda _: None,
        metrics=(metrics := Metrics(found)),
        pauses=no_pauses,
        **options,
    )
    supervisor.up = lambda name: metrics.registry.get_sample_value(  # type: ignore[attr-defined]
        "posstream_plugin_up", {"plugin": name}
    )
    await supervisor.start()
    try:
        yield supervisor
    finally:
        await supervisor.stop()


def states(supervisor: Supervisor) -> dict[str, PluginState]:
    return {name: status.state for name, status in supervisor.statuses().items()}


def restarting(supervisor: Supervisor) -> list[str]:
    return [name for name, report in supervisor.reports().items() if report.restarting]


async def until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not claim():  # noqa: ASYNC110 - the states have no event
            await asyncio.sleep(0)


@pytest.fixture
def workshop() -> Workshop:
    return Workshop()


async def test_plugins_start_side_by_side(workshop: Workshop) -> None:
    async with supervised(plugins("a", "b"), workshop) as supervisor:
        assert states(supervisor) == {"a": STARTING, "b": STARTING}
        await supervisor.settled()
        assert states(supervisor) == {"a": RUNNING, "b": RUNNING}
        assert (supervisor.up("a"), supervisor.up("b")) == (1, 1)
    assert workshop.app("a").should_stop


async def test_one_that_crashes_is_built_anew_while_the_other_runs_on(workshop: Workshop) -> None:
    async with supervised(plugins("a", "b"), workshop) as supervisor:
        await supervisor.settled()
        first = workshop.app("a")
        await first.crash(PublishFailed("the broker is gone"))
        await until(lambda: len(workshop.apps["a"]) == 2)
        await until(lambda: states(supervisor)["a"] is RUNNING)
        assert first._stopped.is_set()
        assert supervisor.statuses()["a"].built.ports == 2
        assert (len(workshop.apps["b"]), supervisor.crashed) == (1, False)


@pytest.fixture
def unlogged() -> Iterator[None]:
    """Nothing is logged: pytest keeps the errors of all lines."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("unlogged")
async def test_while_it_runs_again_nothing_holds_the_error_of_before(workshop: Workshop) -> None:
    """The stores that its traceback names would stay open, and locked."""
    async with supervised(plugins("a", "b"), workshop) as supervisor:
        await supervisor.settled()
        why = PublishFailed("the broker refused")
        crashed = weakref.ref(why)
        await workshop.app("a").crash(why)
        del why
        await until(lambda: len(workshop.apps["a"]) == 2)
        await until(lambda: states(supervisor)["a"] is RUNNING)
        del workshop.apps["a"][0]
        gc.collect()
        assert crashed() is None


async def test_while_it_starts_again_it_is_told_from_one_that_starts(workshop: Workshop) -> None:
    async with supervised(plugins("a", "b"), workshop) as supervisor:
        await supervisor.settled()
        made, workshop.make = workshop.make, None  # type: ignore[method-assign]

        def held(plugin: Plugin) -> RunningPlugin:
            running = made(plugin)
            running.app.may_start.clear()  # type: ignore[attr-defined]
            return running

        supervisor._make = held
        await workshop.app("a").crash(PublishFailed("gone"))
        await until(lambda: restarting(supervisor) == ["a"])
        workshop.app("a").may_start.set()
        await until(lambda: states(supervisor)["a"] is RUNNING)
        assert restarting(supervisor) == []


async def test_one_whose_own_code_fails_stays_stopped_with_its_reason(workshop: Workshop) -> None:
    async with supervised(plugins("a", "b"), workshop) as supervisor:
        await supervisor.settled()
        await workshop.app("a").crash(PluginFailed("its code failed"))
        await until(workshop.app("a")._stopped.is_set)
        status = supervisor.statuses()["a"]
        assert (status.state, status.reason, status.built) == (FAILED, "its code failed", None)
        assert (states(supervisor)["b"], supervisor.up("a")) == (RUNNING, 0)
        assert len(workshop.apps["a"]) == 1


async def test_of_a_foreign_error_the_type_alone_is_told(workshop: Workshop) -> None:
    async with supervised(plugins("a", "b"), workshop) as supervisor:
        await supervisor.settled()
        workshop.broken["a"] = ValueError("cannot be built")
        await workshop.app("a").crash(ValueError("of John"))
        await until(lambda: states(supervisor)["a"] is FAILED)
        assert supervisor.statuses()["a"].reason == "ValueError"


@pytest.mark.parametrize("why", [PublishFailed("gone"), PluginFailed("its code")])
async def test_the_crash_of_the_only_one_ends_the_worker(
    workshop: Workshop, why: Exception
) -> None:
    failed: dict[str, Exception] = {"broken": ImportError("no")}
    async with supervised(plugins("a", failed=failed), workshop) as supervisor:
        await supervisor.settled()
        await workshop.app("a").crash(why)
        await until(lambda: supervisor.crashed)
        assert supervisor.crash_reason is why


async def test_when_the_last_one_of_several_crashes_the_worker_ends(workshop: Workshop) -> None:
    async with supervised(plugins("a", "b"), workshop) as supervisor:
        await supervisor.settled()
        await workshop.app("a").crash(PluginFailed("its code"))
        await until(workshop.app("a")._stopped.is_set)
        assert not supervisor.crashed
        await workshop.app("b").crash(PublishFailed("gone"))
        await until(lambda: supervisor.crashed)


async def test_one_that_crashes_at_once_waits_for_those_that_still_start(
    workshop: Workshop,
) -> None:
    found = plugins("a", "b")
    async with supervised(found, workshop) as supervisor:
        workshop.app("a").refusal = PublishFailed("gone")
        workshop.app("b").may_start.clear()
        await until(lambda: states(supervisor)["a"] is FAILED)
        assert not supervisor.crashed
        workshop.app("b").may_start.set()
        await until(lambda: states(supervisor) == {"a": RUNNING, "b": RUNNING})


async def test_one_that_cannot_be_built_or_loaded_stops_no_other(workshop: Workshop) -> None:
    workshop.broken["a"] = ValueError("no such table")
    failed: dict[str, Exception] = {"c": ImportError("no module")}
    async with supervised(plugins("a", "b", failed=failed), workshop) as supervisor:
        await supervisor.settled()
        told = {name: (it.state, it.reason) for name, it in supervisor.statuses().items()}
        assert told == {
            "a": (FAILED, "ValueError: no such table"),
            "b": (RUNNING, ""),
            "c": (FAILED, "ImportError: no module"),
        }


async def test_where_others_run_elsewhere_the_crash_of_the_only_one_ends_nothing(
    workshop: Workshop,
) -> None:
    async with supervised(plugins("a"), workshop, ends_alone=False) as supervisor:
        await supervisor.settled()
        await workshop.app("a").crash(PublishFailed("gone"))
        await until(lambda: len(workshop.apps["a"]) == 2)
        await until(lambda: states(supervisor)["a"] is RUNNING)
        assert not supervisor.crashed
