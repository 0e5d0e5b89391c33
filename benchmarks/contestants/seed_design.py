"""What posstream was at first: a synchronous consumer, a cache table in SQL, requests for misses.

One event at a time: read the customer's row, call the directory if there is none or it is old,
give the basket its customer, publish the answer, commit.
"""

from datetime import UTC, datetime
from typing import Any, Final

import orjson
from confluent_kafka import Consumer, KafkaException, Producer
from sqlalchemy import JSON, BigInteger, Engine, String, create_engine, event, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from benchmarks.connecting import by_librdkafka
from benchmarks.contestants.answers import FRESH_MS, headers_of, now_ms, record
from benchmarks.contestants.directory_client import BlockingDirectory
from benchmarks.contestants.job import Job, job

_INSERTED_AT_ONCE: Final = 1_000


class Base(DeclarativeBase):
    """The tables."""


class Customer(Base):
    """The local copy of a customer."""

    __tablename__ = "customers"
    identifier: Mapped[str] = mapped_column(String(128), primary_key=True)
    customer: Mapped[dict[str, Any]] = mapped_column(JSON)
    fetched_at_ms: Mapped[int] = mapped_column(BigInteger)


class Basket(Base):
    """Whose a basket is."""

    __tablename__ = "baskets"
    basket_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    customer_id: Mapped[str] = mapped_column(String(128))


class LookupLog(Base):
    """The calls of the directory."""

    __tablename__ = "customer_lookup_logs"
    id: Mapped[int] = mapped_column(primary_key=True)
    basket_id: Mapped[str] = mapped_column(String(128))
    customer_identifier: Mapped[str] = mapped_column(String(128))
    duration_ms: Mapped[int]
    called_at: Mapped[datetime]


def run(it: Job) -> None:
    """Answer until the process is ended.

    Raises:
        KafkaException: from the broker.
    """
    engine = _database(it)
    directory = BlockingDirectory(it.api)
    consumer = Consumer(
        {
            **by_librdkafka(it.servers),
            "group.id": it.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    producer = Producer(by_librdkafka(it.servers))
    consumer.subscribe([it.source])
    while True:
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error() is not None:
            raise KafkaException(message.error())
        with Session(engine) as session:
            answer = _answer(session, orjson.loads(message.value()), directory)
        key, value = answer["basket_id"].encode(), orjson.dumps(answer)
        producer.produce(it.answers, value, key, headers=headers_of(answer))
        producer.flush()
        consumer.commit(message)


def _answer(
    session: Session, scanned: dict[str, Any], directory: BlockingDirectory
) -> dict[str, Any]:
    who, took_ms = scanned["customer_identifier"], None
    row = session.scalar(select(Customer).where(Customer.identifier == who))
    if row is None or now_ms() >= row.fetched_at_ms + FRESH_MS:
        known, took_ms = directory.fetch(who)
        customer = orjson.loads(known.document)
        row = session.merge(
            Customer(identifier=who, customer=customer, fetched_at_ms=known.fetched_at_ms)
        )
        session.add(
            LookupLog(
                basket_id=scanned["basket_id"],
                customer_identifier=who,
                duration_ms=took_ms,
                called_at=datetime.now(UTC),
            )
        )
    answer = record(scanned, row.customer, row.fetched_at_ms, duration_ms=took_ms)
    session.merge(Basket(basket_id=scanned["basket_id"], customer_id=row.customer["customer_id"]))
    session.commit()
    return answer


def _database(it: Job) -> Engine:
    engine = create_engine(f"sqlite:///{it.workdir}/cache.sqlite3")

    @event.listens_for(engine, "connect")
    def _set(connection: Any, _: object) -> None:
        # As posstream's own: the default writes every commit through to the disk.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    Base.metadata.create_all(engine)
    with Session(engine) as session:
        rows = [
            Customer(
                identifier=who,
                customer=orjson.loads(known.document),
                fetched_at_ms=known.fetched_at_ms,
            )
            for who, known in it.known().items()
        ]
        for start in range(0, len(rows), _INSERTED_AT_ONCE):
            session.add_all(rows[start : start + _INSERTED_AT_ONCE])
            session.commit()
    return engine


if __name__ == "__main__":
    run(job())
