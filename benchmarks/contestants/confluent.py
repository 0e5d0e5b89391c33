"""The same loop on confluent-kafka: consume, a dict, produce; librdkafka does the rest."""

import time
from typing import Final

import orjson
from confluent_kafka import Consumer, KafkaException, Producer

from benchmarks.connecting import by_librdkafka
from benchmarks.contestants.answers import Moment, bare
from benchmarks.contestants.job import COMMIT_SECONDS, Job, job

_AT_ONCE: Final = 5_000


def run(it: Job) -> None:
    """Answer until the process is ended. No miss is possible here.

    Raises:
        KafkaException: from the broker.
    """
    known = it.known()
    consumer = Consumer(
        {
            **by_librdkafka(it.servers),
            "group.id": it.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    producer = Producer(
        {
            **by_librdkafka(it.servers),
            "partitioner": "murmur2_random",
            "acks": "all",
            "linger.ms": 5,
            "queue.buffering.max.messages": 200_000,
        }
    )
    consumer.subscribe([it.source])
    committed_at = time.monotonic()
    while True:
        messages = consumer.consume(_AT_ONCE, 0.2)
        moment = Moment()
        for message in messages:
            if message.error() is not None:
                raise KafkaException(message.error())
            event = orjson.loads(message.value())
            customer = known[event["customer_identifier"]]
            if it.bare:
                key, value = bare(event, customer)
                headers = None
            else:
                key, value, headers = moment.full(event, customer)
            while True:
                try:
                    producer.produce(it.answers, value, key, headers=headers)
                    break
                except BufferError:
                    producer.poll(0.1)
        producer.poll(0)
        if messages and time.monotonic() > committed_at + COMMIT_SECONDS:
            producer.flush()
            consumer.commit(asynchronous=False)
            committed_at = time.monotonic()


if __name__ == "__main__":
    run(job())
