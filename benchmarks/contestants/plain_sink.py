"""As fast as answers get into SQL: consume, decode, write; librdkafka and msgspec do the rest.

Into SQLite by `executemany` on the driver, with the settings that posstream gives its own
connection; into PostgreSQL by COPY into a temporary table and one upsert for each table. It
checks nothing, writes no customer, and does not look for marks of forgotten customers.
"""

import sqlite3
import sys
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Final

import msgspec
import psycopg
from confluent_kafka import Consumer, KafkaException
from sqlalchemy.engine import URL, make_url

from benchmarks.connecting import by_librdkafka
from posstream.startup.process import collect_garbage_rarely

_AT_ONCE: Final = 8_000
_PRAGMAS: Final = (
    "journal_mode = WAL",
    "synchronous = NORMAL",
    "busy_timeout = 5000",
    "wal_autocheckpoint = 8000",
    "cache_size = -65536",
)


class _Customer(msgspec.Struct, gc=False):
    customer_id: str


class Answer(msgspec.Struct, gc=False):
    """What is written of an answer."""

    event_id: str
    lookup_id: str
    event_type: str
    basket_id: str
    customer_identifier: str
    identifier_kind: str
    customer: _Customer
    source: str
    attempts: int
    duration_ms: int
    age_ms: int
    config_version: int
    fetched_at: str
    fresh_until: str
    identified_at: str
    occurred_at: str


_decode: Final[Callable[[bytes], Answer]] = msgspec.json.Decoder(Answer).decode
_TIMES: Final = ("fetched_at", "fresh_until", "identified_at", "occurred_at")
_NAMES: Final = tuple(name for name in Answer.__struct_fields__ if name not in _TIMES)
_values: Final = attrgetter(
    *("customer.customer_id" if name == "customer" else name for name in _NAMES)
)
_moments: Final = attrgetter(*_TIMES)
_COLUMNS: Final = ("customer_id" if name == "customer" else name for name in _NAMES)
_LIST: Final = ", ".join((*_COLUMNS, *_TIMES))
_MARKS: Final = ", ".join("?" * len(Answer.__struct_fields__))
_INTO_ANSWERS: Final = f"INSERT INTO lookup_answers ({_LIST})"
_ONCE: Final = "ON CONFLICT (event_id) DO NOTHING"
_INTO_BASKETS: Final = "INSERT INTO baskets (basket_id, identified_at, identified_by, customer_id)"
_NEWEST: Final = (
    "ON CONFLICT (basket_id) DO UPDATE SET identified_at = excluded.identified_at, "
    "identified_by = excluded.identified_by, customer_id = excluded.customer_id "
    "WHERE baskets.identified_at IS NULL OR excluded.identified_at > baskets.identified_at"
)
_OF_STAGED: Final = (
    "SELECT DISTINCT ON (basket_id) basket_id, identified_at, event_id, customer_id "
    "FROM staged ORDER BY basket_id, identified_at DESC"
)
_UNSTAGE: Final = f"{_INTO_ANSWERS} SELECT {_LIST} FROM staged {_ONCE}"  # noqa: S608 - our names

#: Writes answers in one transaction.
Write = Callable[[Sequence[Answer]], None]


def into_sqlite(url: URL) -> Write:
    """For a SQLite file."""
    connection = sqlite3.connect(url.database or "", isolation_level=None)
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")

    def write(answers: Sequence[Answer]) -> None:
        rows = sorted((*_values(it), *map(_stored, _moments(it))) for it in answers)
        baskets = sorted(
            (it.basket_id, _stored(it.identified_at), it.event_id, it.customer.customer_id)
            for it in answers
        )
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(f"{_INTO_BASKETS} VALUES (?, ?, ?, ?) {_NEWEST}", baskets)
        connection.executemany(f"{_INTO_ANSWERS} VALUES ({_MARKS}) {_ONCE}", rows)
        connection.execute("COMMIT")

    return write


def _stored(moment: str) -> str:
    """A time of the contract as the read model has it on SQLite."""
    return f"{moment[:10]} {moment[11:23]}000"


def into_postgresql(url: URL) -> Write:
    """For a PostgreSQL server."""
    connection = psycopg.connect(
        host=url.host, port=url.port, user=url.username, dbname=url.database, autocommit=True
    )
    connection.execute("CREATE TEMPORARY TABLE staged (LIKE lookup_answers) ON COMMIT DELETE ROWS")

    def write(answers: Sequence[Answer]) -> None:
        with connection.transaction(), connection.cursor() as cursor:
            with cursor.copy(f"COPY staged ({_LIST}) FROM STDIN") as copy:
                for it in answers:
                    copy.write_row((*_values(it), *_moments(it)))
            cursor.execute(f"{_INTO_BASKETS} {_OF_STAGED} {_NEWEST}")
            cursor.execute(_UNSTAGE)

    return write


def run(servers: str, topic: str, group: str, url: str) -> None:
    """Write until the process is ended.

    Raises:
        KafkaException: from the broker.
    """
    collect_garbage_rarely()
    address = make_url(url)
    of: dict[str, Callable[[URL], Write]] = {"sqlite": into_sqlite, "postgresql": into_postgresql}
    write = of[address.get_backend_name()](address)
    settings: dict[str, Any] = {
        **by_librdkafka(servers),
        "group.id": group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    }
    consumer = Consumer(settings)
    consumer.subscribe([topic])
    while True:
        messages = consumer.consume(_AT_ONCE, 0.2)
        for message in messages:
            if message.error() is not None:
                raise KafkaException(message.error())
        if messages:
            write([_decode(message.value()) for message in messages])
            consumer.commit(asynchronous=False)


if __name__ == "__main__":
    run(*sys.argv[1:])
