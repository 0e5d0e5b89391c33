"""Messages that are handled one after the other: an error of our own code need not be the end."""

from typing import Any

import pytest

from posstream.domain.errors import StorageFailed
from posstream.streaming.one_by_one import OneByOne
from tests.component.kept_cache import Event, FakeApp, Message, arriving


async def handle(message: Message) -> None:
    if message.value == b"defect":
        raise ZeroDivisionError("a defect")
    if message.value == b"disk":
        raise StorageFailed("the disk is full")


@pytest.mark.parametrize(
    ("sets_aside", "acked"), [(True, [True, True, True]), (False, [True, False, False])]
)
async def test_after_an_error_of_our_own_code_others_go_on_if_the_message_was_set_aside(
    *, sets_aside: bool, acked: list[bool]
) -> None:
    failed: list[str] = []

    async def fails(message: Message, why: Exception) -> bool:
        failed.append(f"{message.offset}: {why!r}")
        return sets_aside

    app, nobody = FakeApp(), Any
    events = [Event(Message(value, offset=n)) for n, value in enumerate([b"", b"defect", b""])]
    await OneByOne(app, nobody, fails).consume(arriving(*events), handle)  # type: ignore[arg-type]
    assert failed == ["1: ZeroDivisionError('a defect')"]
    assert ([it.acked for it in events], app.crashed) == (acked, [])


async def test_an_error_of_the_machinery_crashes_the_app_whatever_the_plugin_wants() -> None:
    async def fails(*_: object) -> bool:
        raise AssertionError("not the plugin's error")

    app, nobody = FakeApp(), Any
    event = Event(Message(b"disk"))
    await OneByOne(app, nobody, fails).consume(arriving(event), handle)  # type: ignore[arg-type]
    assert (event.acked, [type(why) for why in app.crashed]) == (False, [StorageFailed])
