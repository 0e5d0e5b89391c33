"""Makes previews in a process of their own, one at a time."""

import asyncio
import contextlib
import logging
import sys
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from agents.fraud_detection.preview import Preview, Previewed, PreviewRefused
from agents.fraud_detection.preview_child import Answer, Asked
from agents.fraud_detection.rules.rule import Rule
from posstream.kafka.security import Brokers
from posstream.resilience.clock import Clock

log = logging.getLogger(__name__)

_COMMAND: Final = (sys.executable, "-m", "agents.fraud_detection.preview_child")
#: How long a preview may take. A query to the web view may take longer.
_SECONDS: Final = 25.0


def previewing(servers: Brokers, clock: Clock) -> Preview:
    """What makes previews of the events on these brokers."""
    one_at_a_time = asyncio.Semaphore()

    async def preview(rule: Mapping[str, Any], hours: int) -> Previewed | PreviewRefused:
        if one_at_a_time.locked():
            return PreviewRefused("BUSY", "another preview is being made: try again in a moment")
        async with one_at_a_time:
            checked = msgspec.convert(rule, Rule)
            answer = await _ask(Asked(servers, checked, hours, clock.now_ms()))
        if answer is None:
            return PreviewRefused(
                "TOO_SLOW", f"it took more than {_SECONDS:g} s: ask for fewer hours"
            )
        if answer.error is not None:
            return PreviewRefused("UNAVAILABLE", answer.error)
        return Previewed(answer.count, answer.alerts)

    return preview


async def _ask(asked: Asked) -> Answer | None:
    """Ask a child; None if it takes too long."""
    child = await asyncio.create_subprocess_exec(
        *_COMMAND, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(_SECONDS):
            told, _ = await child.communicate(msgspec.json.encode(asked) + b"\n")
    except TimeoutError:
        return None
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
    try:
        return msgspec.json.decode(told, type=Answer)
    except msgspec.DecodeError:
        log.exception("the process of a preview ended with exit code %s", child.returncode)
        return Answer(error="the preview could not be made: see the log of the worker")
