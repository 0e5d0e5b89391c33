"""What scenarios of fraud detection share: a shop's day is sent, judged, and compared."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import aiokafka
import orjson

from agents.customer_lookup.topics import CUSTOMER_IDENTIFIED
from agents.fraud_detection import topics
from agents.fraud_detection.configuration import FraudConfiguration
from posstream.kafka.connection import Brokers
from posstream.kafka.counts import group_lag
from tests.chaos.checks import Publish
from tests.chaos.fraud_proof import Proof
from tests.chaos.ledger import Count
from tests.chaos.stage import Stage
from tests.chaos.test_baskets import MISPLACED
from tests.integration.harness import Worker
from tests.shop_day import ShopDay

#: Consumer group -> what must be looked up, counted, grouped and judged.
GROUPS = {
    "posstream": (CUSTOMER_IDENTIFIED,),
    "posstream-baskets": (
        *("pos-events", "basket-started", "customer-data-fetched", "customer-lookup-failed"),
        "posstream-basket-events-rekeyed",
    ),
    "posstream-fraud-detection": topics.CONSUMED,
}
#: How long nothing may be finished.
STUCK_SECONDS = 180
#: No rule may pause itself: all its alerts are compared.
UNBOUNDED = {
    "most_alerts_per_hour": 1_000_000,
    "most_cpu_percent": 100,
    # A day of a million events has more than the default in its windows.
    "observations_in_memory": 3_000_000,
}
_AGO_MS = 12 * 3_600_000
_CONFIGURE = """
mutation ($config: JSONString) {
  updatePluginConfiguration(name: "fraud_detection", config: $config) { success }
}
"""


def day_of(stage: Stage, events: int) -> ShopDay:
    """A day that is over, of the scenario's seed."""
    return ShopDay(stage.seed, events, int(time.time() * 1000) - _AGO_MS)


async def configure(worker: Worker, **config: object) -> None:
    """Change the configuration of fraud detection."""
    async with asyncio.timeout(60):
        while True:
            answer = await worker.graphql(_CONFIGURE, config=orjson.dumps(config).decode())
            if ((answer.get("data") or {}).get("updatePluginConfiguration") or {}).get("success"):
                return
            await asyncio.sleep(0.2)  # a busy machine let the time for a mutation run out


@contextlib.asynccontextmanager
async def producing(stage: Stage) -> AsyncIterator[aiokafka.AIOKafkaProducer]:
    """A till's producer, which writes nothing twice by itself."""
    producer = aiokafka.AIOKafkaProducer(
        bootstrap_servers=stage.servers, acks="all", linger_ms=5, enable_idempotence=True
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def send(stage: Stage, day: ShopDay) -> int:
    """Send a day as fast as the broker takes it; give the number of messages."""
    sent = 0
    async with producing(stage) as producer:
        for message in day.sent():
            is_misplaced = stage.chance.random() < MISPLACED
            key = f"other-{sent}" if is_misplaced else message.key
            await producer.send(message.topic, orjson.dumps(message.value), key=key.encode())
            sent += 1
            if sent % 50 == 0:
                await asyncio.sleep(0)  # the directory is in this process
        await producer.flush()
    return sent


async def until_judged(brokers: Brokers) -> None:
    """Wait until nothing is left to be looked up, counted, grouped or judged."""
    lag, still, since = -1, 0, time.monotonic()
    while still < 3:
        await asyncio.sleep(1)
        before = lag
        lag = sum([await group_lag(brokers, group, read) for group, read in GROUPS.items()])
        still = 0 if lag else still + 1
        if lag != before:
            since = time.monotonic()
        assert time.monotonic() < since + STUCK_SECONDS, f"{lag} are not finished"


async def compare(stage: Stage, day: ShopDay, publish: Publish, sent: int, note: str = "") -> None:
    """Compare everything that was told with what the references say; ends the workers."""
    starts = sum(it.starts for it in stage.workers)
    for it in stage.workers:  # the references want all of the machine
        if it.starts:
            it.kill()
    proof = Proof(list(FraudConfiguration().rules))
    await proof.read(stage.cluster.servers)
    for messages in day.parts():
        proof.compare(messages)
    episodes, unalerted = proof.unalerted()
    rules = {rule_id for rule_id, _, _ in proof.wanted}
    wrong = [*proof.wrong, *proof.wrong_baskets, *proof.wrong_observations]
    missing = [*proof.missing, *proof.missing_baskets]
    publish(
        Count(
            sent=sent,
            answered=len(proof.wanted) + proof.baskets - len(missing),
            lost=len(missing),
            duplicated=0,
            late=0,
            failed=0,
            wrong=len(wrong),
            extra_calls=0,
            sql_missing=0,
        ),
        f"{len(proof.wanted):,} alerts of {len(rules)} rules, {episodes:,} episodes, "
        f"{proof.baskets:,} paid baskets, {proof.observations:,} observations, {starts} starts"
        + note,
    )
    differences = missing, wrong, unalerted
    assert differences == ([], [], []), f"missing, wrong, without alert: {differences}"
    assert proof.observations == proof.observations_arrived
    assert {"drawer_openings", "price_overrides", "anonymous_payment"} <= rules
