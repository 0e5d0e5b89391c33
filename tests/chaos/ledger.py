"""What was sent, against what came back: the figures of a scenario."""

import dataclasses
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import select

from agents.customer_lookup import topics
from agents.customer_lookup.read_model import schema
from posstream.domain.times import parse_utc
from posstream.read_model.engine import create_engine
from tests.integration.directory import Directory
from tests.integration.harness import Scan, Seen

ANSWERS = (topics.CUSTOMER_DATA_FETCHED, topics.CUSTOMER_LOOKUP_FAILED)

#: A scan without a deadline of its own is answered within this (the configuration's default).
DEADLINE_SECONDS = 12


@dataclass(frozen=True)
class Count:
    """The figures of one scenario. `sent` counts what the broker acknowledged."""

    sent: int
    answered: int
    #: Sent and never answered.
    lost: int
    #: Answers that came again, with the same ids.
    duplicated: int
    #: First answered more than the deadline after it was sent.
    late: int
    #: Failed though the directory knows the customer.
    failed: int
    #: Another customer's data, or another id on a repeat.
    wrong: int
    #: Calls of the directory beyond one for each identifier.
    extra_calls: int
    #: Answers and attempts on the topics that have no row.
    sql_missing: int


COLUMNS = [field.name for field in dataclasses.fields(Count)]


class Ledger:
    """The scans of one scenario, each written down before it is sent."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        #: Scans that the broker acknowledged, by lookup id, and when they were sent.
        self.sent: dict[str, tuple[Scan, float]] = {}

    def write(self, scan: Scan) -> float:
        """Note a scan that is about to be sent; returns the time, for `acknowledged`."""
        now = time.time()
        line = {"at": now, "lookup_id": scan.lookup_id, **dataclasses.asdict(scan)}
        self._file.write(orjson.dumps(line) + b"\n")
        self._file.flush()
        return now

    def close(self) -> None:
        """Close its file; what was noted can still be counted."""
        self._file.close()

    def acknowledged(self, scan: Scan, at: float) -> None:
        """The broker has it: from here on it must be answered."""
        self.sent[scan.lookup_id] = scan, at

    def unanswered(self, seen: Seen) -> set[str]:
        """The lookup ids that still wait for an answer."""
        return set(self.sent) - set(seen.counts("lookup_id", *ANSWERS))

    def waits(self, seen: Seen) -> list[tuple[float, float]]:
        """When each answered scan was sent, and how long it waited for its first answer, in s."""
        first: dict[str, float] = {}
        for record in seen.records:
            if record.topic in ANSWERS:
                lookup_id = orjson.loads(record.value)["lookup_id"]
                at = record.timestamp / 1000
                first[lookup_id] = min(at, first.get(lookup_id, at))
        return [
            (at, first[lookup_id] - at)
            for lookup_id, (_, at) in self.sent.items()
            if lookup_id in first
        ]

    def longest_wait(self, seen: Seen, since: float) -> float:
        """The longest that a scan sent at or after a time waited for its first answer, in s."""
        return max((wait for at, wait in self.waits(seen) if at >= since), default=0.0)

    def count(self, seen: Seen, directory: Directory, sql_missing: int) -> Count:
        """All figures, as things stand."""
        answers: dict[str, list[tuple[Any, dict[str, Any]]]] = defaultdict(list)
        for record in seen.records:
            if record.topic in ANSWERS:
                value = orjson.loads(record.value)
                if value["lookup_id"] in self.sent:
                    answers[value["lookup_id"]].append((record, value))
        judged = Counter[str]()
        for lookup_id, came in answers.items():
            scan, sent_at = self.sent[lookup_id]
            values = [value for _, value in came]
            first = min(record.timestamp for record, _ in came) / 1000
            judged["late"] += first - sent_at > DEADLINE_SECONDS
            judged["wrong"] += _is_wrong(scan, values)
            judged["failed"] += any("customer" not in value for value in values)
        return Count(
            sent=len(self.sent),
            answered=len(answers),
            lost=len(self.sent) - len(answers),
            duplicated=sum(len(came) - 1 for came in answers.values()),
            late=judged["late"],
            failed=judged["failed"],
            wrong=judged["wrong"],
            extra_calls=len(directory.calls) - len(set(directory.calls)),
            sql_missing=sql_missing,
        )


def _is_wrong(scan: Scan, values: Sequence[dict[str, Any]]) -> bool:
    if len({value["event_id"] for value in values}) > 1:
        return True
    for value in values:
        if value["customer_identifier"] != scan.identifier or value["basket_id"] != scan.basket_id:
            return True
        customer = value.get("customer")
        if customer is not None and customer["customer_id"] != f"C-{scan.identifier}":
            return True
    return False


async def missing_rows(seen: Seen, database_url: str) -> int:
    """How many events of the topics have no row in the read model."""
    wanted = {
        schema.LOOKUP_ANSWERS: {value["event_id"] for value in seen.of(*ANSWERS)},
        schema.CUSTOMER_LOOKUP_LOGS: {
            value["event_id"] for value in seen.of(topics.CUSTOMER_LOOKUP_LOGGED)
        },
    }
    found = await _rows(database_url)
    missing = sum(len(ids - found[table.name].keys()) for table, ids in wanted.items())
    return missing + _stale(seen, found)


def _stale(seen: Seen, found: dict[str, dict[str, Any]]) -> int:
    """Customers and baskets that are missing, or older than the newest answer about them."""
    newest: dict[str, Any] = {}
    baskets: dict[str, Any] = {}
    for value in seen.of(topics.CUSTOMER_DATA_FETCHED):
        fetched_at = parse_utc(value["fetched_at"])
        assert fetched_at is not None
        customer_id = value["customer"]["customer_id"]
        newest[customer_id] = max(newest.get(customer_id, fetched_at), fetched_at)
        baskets[value["basket_id"]] = True
    customers = found[schema.CUSTOMERS.name]
    return sum(customers.get(key) != at for key, at in newest.items()) + sum(
        found[schema.BASKETS.name].get(key) is None for key in baskets
    )


async def _rows(database_url: str) -> dict[str, dict[str, Any]]:
    """Per table its keys, each with the column that tells how new the row is."""
    columns = {
        schema.LOOKUP_ANSWERS: ("event_id", "event_id"),
        schema.CUSTOMER_LOOKUP_LOGS: ("event_id", "event_id"),
        schema.CUSTOMERS: ("customer_id", "fetched_at"),
        schema.BASKETS: ("basket_id", "identified_at"),
    }
    engine = create_engine(database_url)
    try:
        async with engine.connect() as connection:
            return {
                table.name: {
                    row[0]: row[1]
                    for row in await connection.execute(
                        select(table.c[names[0]], table.c[names[1]])
                    )
                }
                for table, names in columns.items()
            }
    finally:
        await engine.dispose()
