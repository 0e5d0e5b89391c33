"""The agent of Faust's own introduction: typed records, a table, and `await topic.send`."""

import sys
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import faust
import orjson

from benchmarks.connecting import by_aiokafka
from benchmarks.contestants.directory_client import AsyncDirectory
from benchmarks.contestants.job import Job, job
from posstream.events.ids import _NAMESPACE
from posstream.settings import PARTITIONS

_FRESH_SECONDS = 3600


class Identified(faust.Record):
    """`customer-identified`, and the events that tell of a customer."""

    basket_id: str
    customer_identifier: str
    event_id: str = ""
    event_type: str = ""
    occurred_at: str = ""
    employee_id: int = 0
    terminal_id: str = ""
    customer: dict[str, Any] | None = None


class Fetched(faust.Record):
    """`customer-data-fetched`."""

    event_id: str
    event_type: str
    schema_version: int
    occurred_at: str
    lookup_id: str
    basket_id: str
    customer_identifier: str
    identifier_kind: str
    identified_at: str
    source: str
    attempts: int
    duration_ms: int
    config_version: int
    fetched_at: str
    fresh_until: str
    age_ms: int
    customer: dict[str, Any]


def application(it: Job) -> faust.App:
    """The app; everything is at its default but the names."""
    app = faust.App(
        it.group,
        broker=f"kafka://{it.servers.replace(',', ';')}",
        broker_credentials=_credentials(it.servers),
        datadir=str(it.workdir),
        topic_partitions=PARTITIONS,
        web_enabled=False,
    )
    source = app.topic(it.source, value_type=Identified)
    answers = app.topic(it.answers, value_type=Fetched)
    cache = app.Table("customers")

    @app.agent(source)  # type: ignore[untyped-decorator]
    async def answer(events: Any) -> None:
        async with AsyncDirectory(it.api) as directory:
            async for event in events:
                who = event.customer_identifier
                if event.customer is not None:
                    cache[who] = {"customer": event.customer, "fetched_at": time.time()}
                entry, took_ms = cache.get(who), None
                if entry is None or entry["fetched_at"] + _FRESH_SECONDS < time.time():
                    found, took_ms = await directory.fetch(who)
                    customer = orjson.loads(found.document)
                    entry = cache[who] = {"customer": customer, "fetched_at": time.time()}
                fetched = _fetched(event, entry, took_ms)
                await answers.send(key=event.basket_id, value=fetched, headers=_headers(fetched))

    return app


def _credentials(servers: str) -> Any:
    """What Faust takes for the security of the broker; None without any."""
    options = by_aiokafka(servers)
    context = options.get("ssl_context")
    if "sasl_oauth_token_provider" in options:
        return faust.OAuthCredentials(
            oauth_cb=options["sasl_oauth_token_provider"], ssl_context=context
        )
    if "sasl_mechanism" in options:
        return faust.SASLCredentials(
            mechanism=options["sasl_mechanism"],
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            ssl_context=context,
        )
    return None if context is None else faust.SSLCredentials(context)


def _fetched(event: Identified, entry: dict[str, Any], took_ms: int | None) -> Fetched:
    lookup_id = str(uuid.uuid5(_NAMESPACE, event.event_id))
    return Fetched(
        event_id=str(uuid.uuid5(_NAMESPACE, f"{lookup_id}/answer")),
        event_type="CUSTOMER_DATA_FETCHED",
        schema_version=1,
        occurred_at=_iso(time.time()),
        lookup_id=lookup_id,
        basket_id=event.basket_id,
        customer_identifier=event.customer_identifier,
        identifier_kind="CARD",
        identified_at=event.occurred_at,
        source="CACHE" if took_ms is None else "API",
        attempts=0 if took_ms is None else 1,
        duration_ms=took_ms or 0,
        config_version=0,
        fetched_at=_iso(entry["fetched_at"]),
        fresh_until=_iso(entry["fetched_at"] + _FRESH_SECONDS),
        age_ms=round((time.time() - entry["fetched_at"]) * 1000),
        customer=entry["customer"],
    )


def _headers(fetched: Fetched) -> dict[str, bytes]:
    return {
        "ce_specversion": b"1.0",
        "ce_id": fetched.event_id.encode(),
        "ce_source": b"/posstream/customer-lookup",
        "ce_type": fetched.event_type.encode(),
        "ce_time": fetched.occurred_at.encode(),
        "ce_subject": fetched.basket_id.encode(),
    }


def _iso(seconds: float) -> str:
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def main() -> None:
    """Run the worker with the arguments of a contestant."""
    app = application(job())
    sys.argv = [sys.argv[0]]
    app.finalize()
    faust.Worker(app, loglevel="WARNING").execute_from_commandline()


if __name__ == "__main__":
    main()
