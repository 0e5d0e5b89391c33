"""FastStream on its aiokafka broker: 50 handlers side by side, a dict, aiohttp for misses.

With more than one worker FastStream lets the consumer commit by itself what was fetched, whatever
became of it: at-most-once.
"""

import asyncio
import contextlib
import logging
from typing import Any

import orjson
import uvloop
from faststream.kafka import KafkaBroker
from faststream.security import (
    BaseSecurity,
    SASLOAuthBearer,
    SASLPlaintext,
    SASLScram256,
    SASLScram512,
)

from benchmarks.connecting import by_aiokafka
from benchmarks.contestants.answers import headers_of, now_ms, record
from benchmarks.contestants.directory_client import AsyncDirectory
from benchmarks.contestants.job import Job, job

_WORKERS = 50
_BY_PASSWORD = {
    "PLAIN": SASLPlaintext,
    "SCRAM-SHA-256": SASLScram256,
    "SCRAM-SHA-512": SASLScram512,
}


async def run(it: Job) -> None:
    """Answer until the process is ended."""
    known = {
        who: (orjson.loads(customer.document), customer.fetched_at_ms)
        for who, customer in it.known().items()
    }
    broker = KafkaBroker(
        it.servers, acks="all", linger_ms=5, log_level=logging.WARNING, **_secured(it.servers)
    )
    async with AsyncDirectory(it.api) as directory:

        @broker.subscriber(
            it.source, group_id=it.group, auto_offset_reset="earliest", max_workers=_WORKERS
        )
        async def answer(event: dict[str, Any]) -> None:
            who = event["customer_identifier"]
            entry, took_ms = known.get(who), None
            if entry is None:
                found, took_ms = await directory.fetch(who)
                entry = known[who] = orjson.loads(found.document), now_ms()
            answer = record(event, *entry, duration_ms=took_ms)
            await broker.publish(
                answer,
                it.answers,
                key=answer["basket_id"].encode(),
                headers={name: value.decode() for name, value in headers_of(answer)},
                no_confirm=True,
            )

        async with broker:
            await broker.start()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()


def _secured(servers: str) -> dict[str, Any]:
    """What FastStream takes for the security of the broker."""
    options = by_aiokafka(servers)
    if "security_protocol" not in options:
        return {}
    context = options.get("ssl_context")
    tls: dict[str, Any] = {"ssl_context": context, "use_ssl": context is not None}
    mechanism = options.get("sasl_mechanism")
    if mechanism is None:
        return {"security": BaseSecurity(**tls)}
    if mechanism == "OAUTHBEARER":
        provider = options["sasl_oauth_token_provider"]
        return {"security": SASLOAuthBearer(**tls), "sasl_oauth_token_provider": provider}
    named = {it: options[f"sasl_plain_{it}"] for it in ("username", "password")}
    return {"security": _BY_PASSWORD[mechanism](**named, **tls)}


if __name__ == "__main__":
    uvloop.run(run(job()))
