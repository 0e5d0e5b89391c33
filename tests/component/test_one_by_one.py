"""Messages that are handled one after the other: an error of our own code need not be the end."""

from types import SimpleNamespace
from typing import Any

import pytest

from posstream.streaming.one_by_one import OneByOne
from tests.component.kept_cache import Event, FakeApp, Message, arriving


async def handle(message: Message) -> None:
    if message.value == b"defect":
        raise ZeroDivisionError("a defect")


@pytest.mark.parametrize(
    ("sets_aside", "acked"), [(True, [True, True, True]), (False, [True, False, False])]
)
async def test_after_an_error_of_our_own_code_others_go_on_if_the_message_was_set_aside(
    *, sets_aside: bool, acked: list[bool]
) -> None:
    failed: list[str] = []

    async def is_set_aside(message: Message, why: Exception) -> bool:
        failed.append(f"{message.offset}: {why!r}")
        return sets_aside

    failures: Any = SimpleNamespace(is_set_aside=is_set_aside)
    events = [Event(Message(value, offset=n)) for n, value in enumerate([b"", b"defect", b""])]
    await OneByOne(FakeApp(), failures).consume(arriving(*events), handle)  # type: ignore[arg-type]
    assert failed == ["1: ZeroDivisionError('a defect')"]
    assert [it.acked for it in events] == acked
