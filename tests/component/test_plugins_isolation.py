"""A plugin's own code that exits, hangs or has wrong parts harms no other plugin."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from posstream.commands import check
from posstream.configuration.part import ConfigurationPart
from posstream.domain.errors import StartRefused
from posstream.health import WorkerHealth
from posstream.kafka.tuning import Tuning
from posstream.metrics import Metric, Metrics
from posstream.plugin import Built, Lifetime, Plugin
from posstream.plugins.discovery import find_plugins
from posstream.plugins.found import Plugins
from posstream.plugins.report import report_of
from posstream.plugins.status import PluginState, PluginStatus
from posstream.settings import Settings
from posstream.streaming.app import StreamingApp
from posstream.streaming.lifetimes import LifetimeService, LifetimeTooLong
from posstream.streaming.one_by_one import OneByOne
from tests.component.kept_cache import Event, FakeApp, Message, arriving
from web.programs import asyncapi_routes


def plugin(name: str, **parts: Any) -> Plugin:
    return Plugin(name=name, description=f"{name}.", build=lambda _: Built(), **parts)


def exits() -> Any:
    raise SystemExit("bye")


def test_an_exit_at_import_fails_that_plugin_alone() -> None:
    found = find_plugins("", {"good": lambda: plugin("good"), "bad": exits})
    assert ([it.name for it in found], repr(found.failed["bad"])) == (
        ["good"],
        "SystemExit('bye')",
    )


async def test_a_check_that_raises_or_exits_takes_no_other_lines_away(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def raises(*_: object) -> Any:
        raise ValueError("secret")

    async def leaves(*_: object) -> Any:
        exits()

    async def finds(*_: object) -> list[tuple[bool, str]]:
        return [(True, "all is well")]

    found = [plugin(it.__name__, check=it) for it in (raises, leaves, finds)]
    monkeypatch.setattr(check, "find_plugins", lambda: found)
    nowhere = Settings(broker="kafka://127.0.0.1:1", datadir=tmp_path)
    assert await check.check(nowhere, "+1234567890") == 1
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "FAILED   the check of raises failed (ValueError)",
        "FAILED   the check of leaves failed (SystemExit)",
        "ok       all is well",
    ]


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("events", (3,)),
        ("settings", 3),
        ("configuration", 3),
        ("tables", (1,)),
        ("read_model", 3),
        ("forgetting", 3),
        ("metrics", ("x",)),
    ],
)
def test_a_part_of_the_wrong_type_fails_that_plugin_alone(part: str, value: Any) -> None:
    bad: dict[str, Any] = {part: value}
    found = find_plugins("", {"good": lambda: plugin("good"), "bad": lambda: plugin("bad", **bad)})
    assert [it.name for it in found] == ["good"]
    assert f"its {part} must be" in str(found.failed["bad"])


def test_a_configuration_needs_a_model_of_ours() -> None:
    model: Any = dict
    with pytest.raises(TypeError, match="no PluginConfiguration"):
        ConfigurationPart(model=model, defaults=lambda *_: model())


@pytest.mark.parametrize(("kind", "name"), [("summary", "a"), ("counter", "no good")])
def test_a_metric_that_cannot_be_made_is_refused_where_it_is_declared(kind: Any, name: str) -> None:
    with pytest.raises(ValueError, match="metric"):
        Metric(kind, name, "Counts.")


def test_a_metric_of_the_platform_is_claimed_by_no_plugin() -> None:
    taken = plugin("taker", metrics=(Metric("gauge", "plugin_up", "Mine."),))
    with pytest.raises(StartRefused, match="posstream itself and by taker"):
        Metrics([taken])


def test_the_consumer_group_of_the_platforms_projection_is_taken() -> None:
    with pytest.raises(StartRefused, match="posstream-forgetting-projection is claimed"):
        Plugins((plugin("forgetting"),))


def test_events_that_cannot_be_described_fail_their_plugin_alone() -> None:
    strange: Any = SimpleNamespace(name="strange", events=(3,), topics=(), configuration=None)
    routes, failures = asyncapi_routes([plugin("good"), strange])
    assert (len(routes), list(failures)) == (1, ["strange"])


@pytest.mark.parametrize("why", [SystemExit(3), asyncio.CancelledError()])
async def test_an_exit_of_the_plugins_code_is_a_failure_of_its_event(why: BaseException) -> None:
    seen: list[BaseException] = []

    async def handle(_: Any) -> None:
        raise why

    async def is_set_aside(_: Any, told: BaseException) -> bool:
        seen.append(told)
        return True

    event = Event(Message(b"{}"))
    failures: Any = SimpleNamespace(is_set_aside=is_set_aside)
    app: Any = FakeApp()
    await OneByOne(app, failures).consume(arriving(event), handle)
    assert (seen, event.acked) == ([why], True)


async def test_an_agent_that_is_stopped_sets_nothing_aside() -> None:
    started, seen = asyncio.Event(), []

    async def handle(_: Any) -> None:
        started.set()
        await asyncio.Event().wait()

    async def is_set_aside(*told: Any) -> bool:
        seen.append(told)
        return True

    failures: Any = SimpleNamespace(is_set_aside=is_set_aside)
    app: Any = FakeApp()
    agent = asyncio.ensure_future(
        OneByOne(app, failures).consume(arriving(Event(Message(b"{}"))), handle)
    )
    await started.wait()
    agent.cancel()
    with pytest.raises(asyncio.CancelledError):
        await agent
    assert seen == []


async def hang() -> None:
    await asyncio.Event().wait()


async def nothing() -> None:
    pass


async def test_a_resource_that_does_not_open_is_told_by_name() -> None:
    with pytest.raises(LifetimeTooLong, match="Books was not open after 0 s"):
        await LifetimeService(
            Lifetime(name="Books", open=hang, close=nothing), open_seconds=0
        ).on_start()


async def test_a_resource_that_does_not_close_is_left_behind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await LifetimeService(
        Lifetime(name="Books", open=nothing, close=hang), close_seconds=lambda: 0
    ).on_stop()
    assert caplog.messages == ["Books could not be closed in time"]


def raises() -> Any:
    raise ZeroDivisionError


@pytest.mark.parametrize("warnings", [raises, lambda: 5])
def test_health_is_told_though_a_plugin_cannot_say_its_warnings(warnings: Any) -> None:
    running: Any = SimpleNamespace(
        app=SimpleNamespace(has_consumer=False, rebalancing_count=0, tuning=Tuning()),
        watch=SimpleNamespace(findings=(), is_stalled=False, held_back=0),
        built=Built(warnings=warnings),
    )
    report = report_of("bad", running, PluginState.RUNNING, was_started=True)
    supervisor: Any = SimpleNamespace(
        reports=lambda: {"bad": report},
        figures=dict,
        statuses=lambda: {"bad": PluginStatus(name="bad", state=PluginState.RUNNING)},
    )
    host = SimpleNamespace(crashed=False, should_stop=False)
    ready = WorkerHealth(host, supervisor).ready()
    assert ready.ok
    (told,) = ready.reasons
    assert "its warnings cannot be read" in told


def test_a_plugin_that_reads_no_topic_has_no_consumer(tmp_path: Path) -> None:
    app = StreamingApp("idle", broker="kafka://127.0.0.1:1", datadir=tmp_path, partitions=1)
    services = list(app.boot_strategy.server())
    assert (app.has_consumer, services) == (False, [app.producer])
