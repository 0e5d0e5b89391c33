"""Two hearts on a broker: each hears the other, and one that stops in order is gone at once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from agents.customer_lookup.breaker_control import breaker_control
from posstream.commands.status import status
from posstream.domain.errors import BrokerUnreachable
from posstream.findings import found
from posstream.fleet.asking import ask_workers
from posstream.fleet.controls import Controls
from posstream.fleet.fleet import Fleet
from posstream.fleet.heart import Heart
from posstream.fleet.heartbeat import ControlState, Share, heartbeat_record
from posstream.fleet.telling import Telling
from posstream.kafka.embedded_broker import EmbeddedBroker
from posstream.kafka.preflight import prepare_topics
from posstream.kafka.record import Record
from posstream.kafka.topics import PLATFORM_TOPICS
from posstream.kafka.writer import TopicWriter
from posstream.plugin import Built, Control
from posstream.plugins.figures import PluginFigures
from posstream.resilience.breaker import Breaker
from posstream.resilience.clock import Clock
from posstream.settings import Settings
from tests.component.fakes import FakePublisher
from tests.component.list_fakes import soon
from tests.fleet_beats import HERE, OTHER, beat
from tests.integration.harness import free_port
from tests.manual_clock import ManualClock


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[EmbeddedBroker]:
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    await prepare_topics([broker.address], PLATFORM_TOPICS, partitions=1, replication=1)
    yield broker
    broker.stop()


def controls(*valves: Control) -> Controls:
    built = Built(controls=valves)
    return Controls(lambda: {"toy": built}, publish=FakePublisher().publish, clock=Clock())


async def test_workers_hear_each_other_until_one_stops_in_order(broker: EmbeddedBroker) -> None:
    servers, fleets, hearts = [broker.address], {}, {}
    async with TopicWriter(servers) as writer:
        for name in (HERE, OTHER):
            fleets[name] = Fleet(Clock())
            hearts[name] = Heart(
                servers,
                fleets[name],
                controls(),
                tell=lambda name=name: beat(name),
                write=writer.write,
                beat_seconds=0.2,
            )
            await hearts[name].open(name, fetch_wait_ms=20)

        def known(name: str) -> list[tuple[str, bool]]:
            return [(it.beat.worker, it.is_here) for it in fleets[name].members]

        await soon(lambda: known(HERE) == [(HERE, True), (OTHER, False)])
        await soon(lambda: known(OTHER) == [(HERE, False), (OTHER, True)])
        assert fleets[HERE].hears
        await hearts[OTHER].close(says_farewell=True)
        await soon(lambda: known(HERE) == [(HERE, True)])
        await hearts[HERE].close(says_farewell=False)
        await hearts[HERE].close(says_farewell=True)


async def test_a_heart_beats_on_after_a_broker_that_was_away_and_a_plugin_that_raises() -> None:
    told = iter([beat(), RuntimeError("a plugin"), beat()])
    written: list[Record] = []

    def tell() -> Any:
        it = next(told)
        if isinstance(it, Exception):
            raise it
        return it

    async def write(record: Record) -> None:
        if not written:
            written.append(record)
            raise BrokerUnreachable("it is away")
        written.append(record)
        ended.set()

    ended = asyncio.Event()
    heart = Heart(
        ["127.0.0.1:1"], Fleet(Clock()), controls(), tell=tell, write=write, beat_seconds=0.01
    )
    await heart.open(OTHER, fetch_wait_ms=20)
    async with asyncio.timeout(10):
        await ended.wait()
    await heart.close(says_farewell=False)
    assert [it.value is not None for it in written] == [True, True]


def test_a_worker_tells_what_it_has_and_what_is_wrong_but_no_note() -> None:
    breaker = Breaker(ManualClock())  # type: ignore[arg-type] # only its methods are used

    def broken() -> str:
        raise ValueError("a plugin's own code")

    controls = (
        breaker_control(lambda: ("http://directory/", breaker)),
        Control(name="bad", state=broken, actions={}),
    )
    lag = (("a", 0, 2), ("a", 1, 3), ("b", 0, 1))
    supervisor: Any = SimpleNamespace(
        figures=lambda: {"toy": PluginFigures(lag=lag)},
        running={"toy": SimpleNamespace(built=Built(controls=controls))},
    )
    version = SimpleNamespace(current=SimpleNamespace(value=SimpleNamespace(version=3)))
    configurations: Any = {"toy": version}
    telling = Telling(
        worker=lambda: HERE,
        address=lambda: "one:8000",
        started_at_ms=1_769_846_400_000,
        supervisor=supervisor,
        configurations=configurations,
        findings=lambda: [found("LAG", "they wait"), found("DEAD_LETTERS", "a letter")],
    )
    breaker.open()
    told = telling()
    assert told.shares == (
        Share(plugin="toy", topic="a", partitions=(0, 1), lag=5),
        Share(plugin="toy", topic="b", partitions=(0,), lag=1),
    )
    assert (told.worker, told.address) == (HERE, "one:8000")
    assert told.started_at_ms == 1_769_846_400_000
    assert (told.configurations, told.findings) == ({"toy": 3}, ("LAG",))
    held = ControlState(plugin="toy", name="breaker", state="open (held by hand)")
    assert told.controls == (held,)


def test_a_breaker_is_held_and_given_back_and_a_hold_that_is_there_stays_as_it_is() -> None:
    changes: list[str] = []
    breaker = Breaker(
        ManualClock(),  # type: ignore[arg-type] # only its methods are used
        changed=lambda state, _: changes.append(state.name),
    )
    control = breaker_control(lambda: ("http://directory/", breaker))
    states = []
    for action in ("open", "open", "close", "close", "reset", "reset"):
        control.actions[action].do()
        states.append(control.state())
    opened, closed = "open (held by hand)", "closed (held by hand)"
    assert states == [opened, opened, closed, closed, "closed", "closed"]
    assert changes == ["OPEN", "CLOSED", "CLOSED"]


async def test_status_shows_the_workers_and_says_by_its_code_whether_all_is_well(
    broker: EmbeddedBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(broker=f"kafka://{broker.address}")
    assert await status(settings, Clock()) == 1
    ended = capsys.readouterr()
    assert (ended.out, "no worker runs on this broker" in ended.err) == ("", True)
    assert f"reading the broker {broker.address}" in ended.err

    async with TopicWriter([broker.address]) as writer:
        held = ControlState(plugin="customer_lookup", name="breaker", state="closed")
        await writer.write(heartbeat_record(beat(HERE, controls=(held,))))
        assert await status(settings, Clock()) == 0
        head, row = capsys.readouterr().out.splitlines()
        assert head.split() == [
            "worker", "state", "version", "up", "partitions", "lag", "configuration", "controls",
            "seen",
        ]  # fmt: skip
        assert row.split()[:3] == ["one:8000", "runs", "1.2.3"]
        assert "2           7    customer_lookup 4  breaker closed" in row

        await writer.write(heartbeat_record(beat(OTHER, findings=("LAG", "WORKER_LOST"))))
        assert await status(settings, Clock()) == 1
        told = "two:8000 says LAG: its overview says what to do"
        assert capsys.readouterr().out.splitlines()[-1] == told
        assert await status(settings, Clock(), as_json=True) == 1
    document = orjson.loads(capsys.readouterr().out)
    assert document["is_well"] is False
    assert [(it["worker"], it["state"], it["lag"]) for it in document["workers"]] == [
        (HERE, "runs", 7),
        (OTHER, "runs", 7),
    ]


async def test_a_wrong_clock_here_takes_nobody_for_lost_but_a_silent_worker(
    broker: EmbeddedBroker,
) -> None:
    clock: Any = ManualClock(Clock().now_ms() + 3_600_000)
    async with TopicWriter([broker.address]) as writer:
        await writer.write(heartbeat_record(beat(HERE)))
        (silent,) = await ask_workers([broker.address], clock, patience_seconds=0.1)
        assert silent.is_lost
        heart = Heart(
            [broker.address],
            Fleet(Clock()),
            controls(),
            tell=lambda: beat(HERE),
            write=writer.write,
            beat_seconds=0.1,
        )
        await heart.open(HERE, fetch_wait_ms=20)
        (runs,) = await ask_workers([broker.address], clock)
        await heart.close(says_farewell=False)
    assert (runs.is_lost, runs.silent_seconds) == (False, 0.0)
