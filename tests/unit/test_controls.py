"""What operators work by hand: on one worker or on all, once, and over a restart for a day."""

import logging
from typing import Any

import pytest

from posstream.domain.errors import PublishFailed
from posstream.fleet.controls import EVERY_WORKER, Controls
from posstream.kafka.record import Record
from posstream.kafka.topics import CONTROLS
from posstream.plugin import Built, Control, ControlAction
from tests.fleet_beats import HERE, OTHER
from tests.manual_clock import ManualClock


class Cluster:
    """A topic, and workers on it whose valve can be opened, shut, or broken."""

    def __init__(self) -> None:
        self.clock: Any = ManualClock()
        self.records: list[Record] = []
        self.done: list[str] = []

    async def publish(self, record: Record) -> None:
        self.records.append(record)

    def built(self, worker: str) -> Built:
        def does(word: str) -> ControlAction:
            return ControlAction("", "", lambda: self.done.append(f"{worker} {word}"))

        def fails() -> None:
            raise ValueError("a plugin's own code")

        broken = ControlAction("", "", fails)
        actions = {"open": does("open"), "shut": does("shut"), "break": broken}
        return Built(controls=(Control(name="valve", state=lambda: "", actions=actions),))

    def worker(self, name: str) -> tuple[Controls, dict[str, Built]]:
        running = {"toy": self.built(name)}
        controls = Controls(lambda: running, publish=self.publish, clock=self.clock)
        controls.here = name
        return controls, running

    def read(self, *all_controls: Controls) -> None:
        for controls in all_controls:
            for record in self.records:
                controls.take(record.value)
            controls.look()
        self.records.clear()


async def say(controls: Controls, action: str, worker: str) -> None:
    (offered,) = controls.offered
    await controls.say(offered, action, worker=worker, by="olga")


async def test_a_word_is_for_one_worker_or_for_all_and_is_done_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cluster = Cluster()
    (here, _), (other, _) = cluster.worker(HERE), cluster.worker(OTHER)
    await say(here, "open", OTHER)
    (record,) = cluster.records
    assert (record.topic, record.partition) == (CONTROLS, 0)
    assert record.key == f"toy/valve/{OTHER}".encode()
    cluster.read(here, other)
    assert cluster.done == [f"{OTHER} open"]
    await say(here, "shut", EVERY_WORKER)
    cluster.read(here, other)
    here.look()
    assert cluster.done[1:] == [f"{HERE} shut", f"{OTHER} shut"]
    messages = [it.getMessage() for it in caplog.records]
    assert messages == [
        "valve of toy: open, by olga",
        "valve of toy: shut, by olga",
        "valve of toy: shut, by olga",
    ]


async def test_of_what_was_said_before_a_start_the_last_word_is_done() -> None:
    cluster = Cluster()
    here, _ = cluster.worker(HERE)
    await say(here, "open", EVERY_WORKER)
    await say(here, "shut", HERE)
    cluster.read(here)
    assert cluster.done == [f"{HERE} shut"]


async def test_a_plugin_that_starts_again_is_told_again_but_not_after_a_day() -> None:
    cluster = Cluster()
    here, running = cluster.worker(HERE)
    await say(here, "open", HERE)
    cluster.read(here)
    running["toy"] = cluster.built(HERE)
    here.look()
    cluster.clock.advance(86_401)
    running["toy"] = cluster.built(HERE)
    here.look()
    assert cluster.done == [f"{HERE} open"] * 2


async def test_what_cannot_be_done_or_read_is_told_and_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    cluster = Cluster()
    here, _ = cluster.worker(HERE)
    here.take(None)
    here.take(b"{")
    for action in ("break", "burn"):
        await say(here, action, HERE)
        cluster.read(here)
    assert [it.getMessage() for it in caplog.records] == [
        "skipped a record of the controls: it is not usable",
        "valve of toy: break, by olga",
        "valve of toy: break has failed",
        "valve of toy: burn cannot be done: there is no such action",
    ]


async def test_what_was_done_in_another_way_holds_after_a_start_and_is_not_done_again() -> None:
    cluster = Cluster()
    here, running = cluster.worker(HERE)
    await say(here, "open", EVERY_WORKER)
    cluster.read(here)
    await here.note("toy", "valve", "shut", by="anna")  # she has shut it herself
    (noted,) = cluster.records
    cluster.read(here)
    assert cluster.done == [f"{HERE} open"]
    running["toy"] = cluster.built(HERE)  # the plugin starts again
    here.take(noted.value)
    here.look()
    assert cluster.done == [f"{HERE} open", f"{HERE} shut"]


async def test_a_note_that_no_broker_takes_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    cluster = Cluster()
    here, _ = cluster.worker(HERE)

    async def fails(_: Record) -> None:
        raise PublishFailed("no broker")

    here._publish = fails
    await here.note("toy", "valve", "shut", by="anna")
    assert "valve of toy is not kept over a restart" in caplog.text
