"""Quix Streams' own PostgreSQL sink: it writes a list of rows for each partition at each commit.

Tuned: it commits by the number of answers instead of every five seconds, fetches more at a time,
and leaves the tables as they are. An answer becomes its row and that of its basket in one stream:
for two branches Quix Streams would pickle each answer.
"""

import sys
from typing import Any, Final

from quixstreams import Application
from quixstreams.kafka import ConnectionConfig
from quixstreams.sinks.base.item import SinkItem
from quixstreams.sinks.community.postgresql import PostgreSQLSink
from sqlalchemy.engine import make_url

from benchmarks.connecting import by_librdkafka
from posstream.startup.process import collect_garbage_rarely

_COMMIT_EVERY: Final = 5_000
_CONSUMER: Final = {"queued.min.messages": 200_000, "fetch.message.max.bytes": 4 * 1024 * 1024}
_NAMES: Final = (
    "event_id",
    "lookup_id",
    "event_type",
    "basket_id",
    "customer_identifier",
    "identifier_kind",
    "source",
    "attempts",
    "duration_ms",
    "age_ms",
    "config_version",
    "fetched_at",
    "fresh_until",
    "identified_at",
    "occurred_at",
)


def run(servers: str, topic: str, group: str, url: str) -> None:
    """Write until the process is ended."""
    collect_garbage_rarely()
    address = make_url(url)
    app = Application(
        ConnectionConfig.from_librdkafka_dict(by_librdkafka(servers)),
        consumer_group=group,
        auto_offset_reset="earliest",
        loglevel="WARNING",
        commit_every=_COMMIT_EVERY,
        consumer_extra_config=_CONSUMER,
    )
    sink = PostgreSQLSink(
        host=address.host or "",
        port=address.port or 0,
        dbname=address.database or "",
        user=address.username or "",
        password="",
        table_name=_table,
        schema_auto_update=False,
        primary_key_columns=_key,
        upsert_on_primary_key=True,
        include_metadata=False,
    )
    app.dataframe(app.topic(topic)).apply(_rows, expand=True).sink(sink)
    app.run()


def _rows(answer: dict[str, Any]) -> list[dict[str, Any]]:
    row = {name: answer[name] for name in _NAMES}
    row["customer_id"] = answer["customer"]["customer_id"]
    basket = {
        "basket_id": row["basket_id"],
        "customer_id": row["customer_id"],
        "identified_at": row["identified_at"],
        "identified_by": row["event_id"],
    }
    return [row, basket]


def _is_answer(item: SinkItem) -> bool:
    return "event_id" in item.value


def _table(item: SinkItem) -> str:
    return "lookup_answers" if _is_answer(item) else "baskets"


def _key(item: SinkItem) -> str:
    return "event_id" if _is_answer(item) else "basket_id"


if __name__ == "__main__":
    run(*sys.argv[1:])
