"""Other plugins give way while the default one is behind, and never stop for good."""

import asyncio
import time

from posstream.streaming.precedence import Precedence


async def test_nobody_waits_while_the_default_plugin_keeps_up() -> None:
    precedence = Precedence(behind_seconds=60, most_seconds=60)
    async with asyncio.timeout(1):
        await precedence.give_way()


async def test_others_wait_until_the_default_plugin_has_caught_up() -> None:
    precedence = Precedence(behind_seconds=0.1, most_seconds=60)
    began = time.monotonic()
    precedence.note_full()
    waiting = asyncio.create_task(precedence.give_way())
    await asyncio.sleep(0.05)
    precedence.note_full()
    await waiting
    assert time.monotonic() - began >= 0.15


async def test_others_go_on_though_the_default_plugin_stays_behind() -> None:
    precedence = Precedence(behind_seconds=60, most_seconds=0.1)
    precedence.note_full()
    async with asyncio.timeout(5):
        await precedence.give_way()
