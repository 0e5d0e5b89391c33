"""Quix Streams with a state store in RocksDB, keyed by identifier as the source is.

With its defaults state and answers are JSON. Tuned as its documentation advises: it commits less
often, fetches and writes more at a time, and the customer is kept as text and spliced. A miss
blocks everything: callbacks of Quix Streams are synchronous.
"""

from typing import Any, Final

import orjson
from quixstreams import Application, State
from quixstreams.dataframe import StreamingDataFrame
from quixstreams.kafka import ConnectionConfig
from quixstreams.models import Serializer

from benchmarks.connecting import by_librdkafka
from benchmarks.contestants.answers import (
    FRESH_MS,
    Headers,
    Known,
    Moment,
    headers_of,
    now_ms,
    record,
)
from benchmarks.contestants.directory_client import BlockingDirectory
from benchmarks.contestants.job import Job, job

#: What is kept of a customer, under its identifier: who it is, and since when.
_CUSTOMER: Final = "customer"
_TUNED: Final[dict[str, Any]] = {
    "commit_interval": 10.0,
    "consumer_extra_config": {
        "queued.min.messages": 200_000,
        "fetch.message.max.bytes": 4 * 1024 * 1024,
    },
    "producer_extra_config": {
        "linger.ms": 20,
        "batch.num.messages": 20_000,
        "batch.size": 512 * 1024,
        "queue.buffering.max.messages": 500_000,
    },
}


def run(it: Job) -> None:
    """Answer until the process is ended."""
    app = Application(
        ConnectionConfig.from_librdkafka_dict(by_librdkafka(it.servers)),
        consumer_group=it.group,
        auto_offset_reset="earliest",
        state_dir=it.workdir / "state",
        loglevel="WARNING",
        **(_TUNED if it.tuned else {}),
    )
    source = app.dataframe(app.topic(it.source))
    directory = BlockingDirectory(it.api)
    if it.tuned:
        _answer_spliced(app, source, it.answers, directory)
    else:
        _answer(app, source, it.answers, directory)
    app.run()


def _answer(
    app: Application, source: StreamingDataFrame, answers: str, directory: BlockingDirectory
) -> None:
    def answer(event: dict[str, Any], state: State[str, Any]) -> dict[str, Any]:
        if "customer" in event:
            _fill(event)
            state.set(_CUSTOMER, {"customer": event["customer"], "fetched_at_ms": now_ms()})
        entry, took_ms = state.get(_CUSTOMER), None
        if entry is None or now_ms() >= entry["fetched_at_ms"] + FRESH_MS:
            known, took_ms = directory.fetch(event["customer_identifier"])
            customer = orjson.loads(known.document)
            entry = {"customer": customer, "fetched_at_ms": known.fetched_at_ms}
            state.set(_CUSTOMER, entry)
        return record(event, entry["customer"], entry["fetched_at_ms"], duration_ms=took_ms)

    topic = app.topic(answers, key_serializer="str")
    answered = source.apply(answer, stateful=True)
    answered = answered.set_headers(lambda answer, _key, _at, _headers: headers_of(answer))
    answered.to_topic(topic, key=lambda answer: answer["basket_id"])


Made = tuple[bytes, bytes, Headers]


class _ValueOfMade(Serializer):
    def __call__(self, value: Made, ctx: Any) -> bytes:  # noqa: ARG002 - upstream's
        return value[1]


def _answer_spliced(
    app: Application, source: StreamingDataFrame, answers: str, directory: BlockingDirectory
) -> None:
    def answer(event: dict[str, Any], state: State[str, Any]) -> Made:
        if "customer" in event:
            _fill(event)
            document = orjson.dumps(event["customer"]).decode()
            state.set(_CUSTOMER, [document, now_ms()])
        entry, took_ms = state.get(_CUSTOMER), None
        known = None if entry is None else Known.of(entry[0].encode(), entry[1])
        if known is None or not known.is_fresh:
            known, took_ms = directory.fetch(event["customer_identifier"])
            state.set(_CUSTOMER, [known.document.decode(), known.fetched_at_ms])
        return Moment().full(event, known, duration_ms=took_ms)

    topic = app.topic(answers, value_serializer=_ValueOfMade())
    answered = source.apply(answer, stateful=True)
    answered = answered.set_headers(lambda made, _key, _at, _headers: made[2])
    answered.to_topic(topic, key=lambda made: made[0])


def _fill(event: dict[str, Any]) -> None:
    """Events that tell of a customer are answered as well, so that their end is seen."""
    event |= {"event_id": "", "occurred_at": ""}


if __name__ == "__main__":
    run(job())
