"""The process that makes one preview: `python -m` this module.

Takes what is asked as a line of JSON on stdin, and writes the answer as JSON to stdout. A process
of its own: to read and judge the events of days takes seconds, and tills come first.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from agents.fraud_detection.engine.facts import TillFacts, facts_of
from agents.fraud_detection.engine.previewed import alerts_of
from agents.fraud_detection.events.inputs import TillEvent
from agents.fraud_detection.events.outputs import FraudAlertRaised
from agents.fraud_detection.events.writing import alert_of
from agents.fraud_detection.preview import SHOWN
from agents.fraud_detection.rules.rule import Rule
from agents.fraud_detection.topics import TILL_EVENTS
from posstream.domain.errors import BrokerUnreachable, UnreadableEvent
from posstream.json.undecodable import UNDECODABLE
from posstream.kafka.reader import topic_reader
from posstream.kafka.security import SecuredBrokers
from posstream.startup.process import own_process
from posstream.streaming import patches

#: Added to this process's niceness.
_NICE: Final = 10
#: Events of each partition that are read: what is older is not looked at.
_MOST: Final = 100_000
_HOUR_MS: Final = 3_600_000


class Asked(Struct, frozen=True):
    """What is asked."""

    servers: SecuredBrokers | Sequence[str]
    rule: Rule
    hours: int
    now_ms: int


class Answer(Struct, frozen=True):
    """What is answered."""

    count: int = 0
    #: The newest first.
    alerts: Sequence[FraudAlertRaised] = ()
    #: Why there is no answer.
    error: str | None = None


async def preview(asked: Asked) -> Answer:
    """Read the events of this many hours, and of the rule's window before them; judge them."""
    since_ms = asked.now_ms - asked.hours * _HOUR_MS
    from_ms = since_ms - asked.rule.window_seconds * 1000
    events: list[TillFacts] = []
    decode = msgspec.json.Decoder(TillEvent).decode
    try:
        async with topic_reader(asked.servers, TILL_EVENTS) as reader:
            async for record in reader.records(TILL_EVENTS, last=_MOST):
                with contextlib.suppress(UnreadableEvent, *UNDECODABLE):
                    known = facts_of(decode(record.value or b""))
                    if known.at_ms > from_ms:
                        events.append(known)
    except BrokerUnreachable as why:
        return Answer(error=str(why))
    alerts = alerts_of(asked.rule, events, since_ms)
    shown = [
        alert_of(it, key, group, complete_from_ms=0) for it, key, group in alerts[: -SHOWN - 1 : -1]
    ]
    return Answer(len(alerts), shown)


def main() -> None:
    """Answer what stdin asks."""
    own_process()
    patches.install()
    if hasattr(os, "nice"):
        os.nice(_NICE)
    asked = msgspec.json.decode(sys.stdin.buffer.readline(), type=Asked)
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(preview(asked))))


if __name__ == "__main__":
    main()
