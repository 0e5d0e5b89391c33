"""Messages that cannot be read are set aside, however many there are, and raise an alarm."""

from dataclasses import replace

import pytest

from agents.customer_lookup import topics
from posstream.dead_letters.outcomes import Outcomes
from posstream.dead_letters.part import ReplayPart, Told
from posstream.dead_letters.setting_aside import DeadLetters
from posstream.domain.errors import DeadLetterReason, UnreadableEvent
from posstream.metrics import Metrics
from tests.component.fakes import FakePublisher
from tests.component.kept_cache import Message
from tests.component.other_plugin import other_plugin
from tests.manual_clock import ManualClock

WHY = UnreadableEvent(DeadLetterReason.NOT_JSON, "the message is not JSON")


class Bench:
    def __init__(self) -> None:
        self.publisher, self.clock, self.metrics = FakePublisher(), ManualClock(), Metrics()
        self.letters = DeadLetters(
            topic="shop.dlq",
            publish=self.publisher.publish,
            clock=self.clock,
            metrics=self.metrics,
            per_minute=3,
        )

    async def set_aside(self, count: int, topic: str = topics.CUSTOMER_IDENTIFIED) -> None:
        for offset in range(count):
            await self.letters.set_aside(Message(b"x", offset, topic), WHY)


async def test_as_many_as_are_allowed_in_a_minute_are_no_alarm() -> None:
    bench = Bench()
    await bench.set_aside(3)
    assert bench.letters.alarm is None


async def test_more_of_them_are_an_alarm_that_names_the_topic_and_the_cure() -> None:
    bench = Bench()
    await bench.set_aside(4)
    assert bench.letters.alarm == (
        "4 messages or more in a minute cannot be read and become dead letters; the last "
        "one is of customer-identified: see `posstream dlq list`, and repair the producer"
    )


async def test_the_alarm_ends_when_they_come_no_more() -> None:
    bench = Bench()
    await bench.set_aside(50)
    bench.clock.advance(60)
    assert bench.letters.alarm is None
    await bench.set_aside(3)
    assert bench.letters.alarm is None


async def test_the_log_has_the_first_of_a_kind_and_then_a_count_each_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    await bench.set_aside(1000)
    await bench.set_aside(2, topics.CUSTOMER_UPDATED)
    bench.clock.advance(60)
    bench.letters.report()
    bench.letters.report()
    assert caplog.messages == [
        "dead letter: customer-identified/0/0: NOT_JSON: the message is not JSON",
        "dead letter: customer-updated/0/0: NOT_JSON: the message is not JSON",
        "dead letters: 999 more in a minute: customer-identified: NOT_JSON",
        "dead letters: 1 more in a minute: customer-updated: NOT_JSON",
    ]


async def test_one_that_the_broker_refuses_is_counted_and_said_and_nothing_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    bench.publisher.fail()
    await bench.set_aside(3)
    assert bench.metrics.registry.get_sample_value("posstream_dead_letters_refused_total") == 3
    assert caplog.messages == [
        "dead letter: customer-identified/0/0: NOT_JSON: the message is not JSON",
        (
            "the broker refused the dead letter of customer-identified/0/0 (no broker at "
            "10.0.0.1): check max.message.bytes of its topic, and who may write there"
        ),
    ]


async def test_a_letter_goes_to_the_dead_letter_topic_of_its_plugin() -> None:
    bench = Bench()
    await bench.set_aside(1)
    assert [record.topic for record in bench.publisher.records] == ["shop.dlq"]


def test_a_plugin_whose_code_fails_on_a_letter_is_quoted_and_stops_nobody() -> None:
    def read(*_: object) -> Told:
        raise ZeroDivisionError

    plugin = replace(other_plugin(), replay=ReplayPart(read=read))
    why = Outcomes([], card_guard=True).still_unreadable(plugin, None, topics.CUSTOMER_IDENTIFIED)
    assert why == "it still cannot be read (ZeroDivisionError)"
