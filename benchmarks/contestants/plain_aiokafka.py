"""The loop that one writes first with aiokafka: getmany, a dict, `send` for each event.

uvloop, a linger, and a commit after a flush every half second.
"""

import time

import aiokafka
import orjson
import uvloop

from benchmarks.connecting import by_aiokafka
from benchmarks.contestants.answers import Moment, bare
from benchmarks.contestants.directory_client import AsyncDirectory
from benchmarks.contestants.job import COMMIT_SECONDS, Job, job


async def run(it: Job) -> None:
    """Answer until the process is ended."""
    known = it.known()
    consumer = aiokafka.AIOKafkaConsumer(
        it.source,
        **by_aiokafka(it.servers),
        group_id=it.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    producer = aiokafka.AIOKafkaProducer(
        **by_aiokafka(it.servers), acks="all", linger_ms=5, max_batch_size=64 * 1024
    )
    async with AsyncDirectory(it.api) as directory, producer, consumer:
        committed_at = time.monotonic()
        while True:
            fetched = await consumer.getmany(timeout_ms=200)
            moment = Moment()
            for records in fetched.values():
                for record in records:
                    event = orjson.loads(record.value)
                    who = event["customer_identifier"]
                    customer, took_ms = known.get(who), None
                    if customer is None or not customer.is_fresh:
                        customer, took_ms = await directory.fetch(who)
                        known[who] = customer
                        moment = Moment()
                    if it.bare:
                        key, value = bare(event, customer)
                        await producer.send(it.answers, value, key)
                    else:
                        key, value, headers = moment.full(event, customer, duration_ms=took_ms)
                        await producer.send(it.answers, value, key, headers=headers)
            if time.monotonic() > committed_at + COMMIT_SECONDS:
                await producer.flush()
                await consumer.commit()
                committed_at = time.monotonic()


if __name__ == "__main__":
    uvloop.run(run(job()))
