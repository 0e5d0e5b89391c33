"""What becomes of an event on which a plugin's own code raises."""

import pytest

from posstream.dead_letters.setting_aside import DeadLetters
from posstream.domain.errors import (
    DeadLetterReason,
    PluginFailed,
    PublishFailed,
    StorageFailed,
    UnreadableEvent,
)
from posstream.metrics import Metrics
from posstream.plugins.event_failures import MOST_A_MINUTE, EventFailures
from tests.component.fakes import FakePublisher
from tests.component.kept_cache import FakeApp, Message
from tests.manual_clock import ManualClock

MESSAGE = Message(b"{}", topic="t", offset=7)


class Bench:
    def __init__(self) -> None:
        self.app, self.publisher, self.clock = FakeApp(), FakePublisher(), ManualClock()
        letters = DeadLetters(
            topic="t.dlq",
            publish=self.publisher.publish,
            clock=self.clock,
            metrics=Metrics(),
            per_minute=100,
        )
        self.failures = EventFailures(self.app, letters, self.clock)

    async def fail(self, why: Exception) -> bool:
        return await self.failures.is_set_aside(MESSAGE, why)

    @property
    def reasons(self) -> list[str]:
        return [dict(it.headers)["posstream.dlq.reason"].decode() for it in self.publisher.records]


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_few_become_dead_letters_and_the_next_one_stops_the_plugin(bench: Bench) -> None:
    for _ in range(MOST_A_MINUTE):
        assert await bench.fail(ValueError("of John"))
    assert not await bench.fail(ValueError("of John"))
    assert bench.reasons == ["PLUGIN_FAILED"] * MOST_A_MINUTE
    (why,) = bench.app.crashed
    assert isinstance(why, PluginFailed)
    assert str(why) == (
        "its code failed at more than 3 events in a minute, at last at t/0/7 (ValueError)"
    )


async def test_after_a_minute_there_is_room_again(bench: Bench) -> None:
    for _ in range(2 * MOST_A_MINUTE):
        assert await bench.fail(ValueError())
        bench.clock.advance(60 / MOST_A_MINUTE)
    assert bench.app.crashed == []


async def test_a_dead_letter_does_not_quote_what_the_code_said(bench: Bench) -> None:
    await bench.fail(ValueError("+4930123456"))
    assert dict(bench.publisher.records[0].headers)["posstream.dlq.error"] == b"ValueError"


async def test_unreadable_events_never_stop_the_plugin(bench: Bench) -> None:
    for _ in range(100):
        assert await bench.fail(UnreadableEvent(DeadLetterReason.NOT_JSON, "no JSON"))
    assert (len(bench.reasons), bench.app.crashed) == (100, [])


@pytest.mark.parametrize("why", [PublishFailed("t"), StorageFailed("full"), OSError("disk")])
async def test_what_is_not_the_plugin_s_fault_makes_no_dead_letter(
    bench: Bench, why: Exception
) -> None:
    assert not await bench.fail(why)
    assert (bench.reasons, bench.app.crashed) == ([], [why])
