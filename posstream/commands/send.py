"""`posstream send`: one scan, as a till would send it, and the answer when it comes."""

import time
import uuid

import orjson

from posstream import events
from posstream.commands.topic_client import topic_client
from posstream.settings import Settings


async def send(settings: Settings, basket_id: str, identifier: str, wait_seconds: float) -> int:
    """Send a `customer-identified` event and print its answer as JSON.

    Returns:
        0 if the customer was found, 1 if not, 2 if no answer came in time.
    """
    event_id = str(uuid.uuid4())
    record = events.identified(
        basket_id, identifier, time.time_ns() // 1_000_000, event_id=event_id
    )
    async with topic_client(settings.bootstrap_servers) as client:
        await client.send(record)
        arrived = await client.answer(
            wait_seconds, lookup_id=events.lookup_id(event_id, record.topic, 0, 0)
        )
    if arrived is None:
        print(f"no answer within {wait_seconds:g} s: is a worker running? (`posstream check`)")
        return 2
    print(orjson.dumps(arrived.value, option=orjson.OPT_INDENT_2).decode())
    return 0 if "customer" in arrived.value else 1
