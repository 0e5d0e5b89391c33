"""Fraud detection, while workers die: the alerts must be those of the obvious reference."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from fractions import Fraction
from typing import Any

import msgspec
import pytest

from agents.fraud_detection import topics
from agents.fraud_detection.configuration import FraudConfiguration
from agents.fraud_detection.engine.group_key import group_key, group_of
from agents.fraud_detection.engine.observation import Observation
from agents.fraud_detection.rules.plan import plan_of
from agents.fraud_detection.rules.rule import RuleState
from posstream.domain.times import iso_utc_ms
from posstream.kafka.counts import group_lag
from posstream.kafka.reader import topic_reader
from tests.chaos.checks import Publish, restarted, stopped
from tests.chaos.stage import SETTLE_SECONDS, Stage, Till
from tests.chaos.test_baskets import count, send
from tests.fraud_reference import Reference
from tests.integration.harness import Worker
from tests.till_day import Message, TillDay

BASKETS = 120
GROUPS = "posstream-fraud-detection", "posstream-baskets"
CONFIGURATION = FraudConfiguration()
#: Rule, group and event of an alert -> value and how many observations made it.
Alerts = dict[tuple[str, str, str], tuple[Fraction, int]]


def planted(starts_at_ms: int) -> list[Message]:
    """Three frauds: a drawer that opens again and again, prices cut, and a card that is tried."""
    messages = []

    def says(second: int, event_type: str, basket_id: str, **fields: str) -> None:
        at_ms = starts_at_ms + second * 1000
        value = {
            "event_type": event_type,
            "event_id": f"planted-{len(messages)}",
            "occurred_at": iso_utc_ms(at_ms),
            "terminal_id": "till-x",
            "employee_id": "thief",
            "basket_id": basket_id,
            **fields,
        }
        messages.append(Message(at_ms, "pos-events", basket_id, value))

    for number in range(8):
        says(number * 60, "DRAWER_OPENED", f"drawer-{number}")
        item = {"item_id": f"item-{number}", "product_id": "tv", "unit_price": "900.00"}
        says(number * 60 + 5, "ITEM_ADDED", f"cut-{number}", **item)
        cut = {"item_id": f"item-{number}", "unit_price": "9.00"}
        says(number * 60 + 10, "PRICE_OVERRIDDEN", f"cut-{number}", **cut)
        amount = "1.00" if number < 7 else "1500.00"
        says(number * 60 + 20, "PAYMENT_COMPLETED", f"cut-{number}", amount=amount)
    return messages


async def until_judged(stage: Stage, till: Till) -> None:
    """Wait until nothing is left to be counted, grouped or judged."""
    give_up_at = time.monotonic() + SETTLE_SECONDS
    still = 0
    while still < 3 and time.monotonic() < give_up_at:
        await till.client.read_for(1)
        servers = stage.cluster.servers
        lag = await group_lag(servers, GROUPS[0], topics.CONSUMED)
        lag += await group_lag(servers, GROUPS[1], ("pos-events", "customer-data-fetched"))
        still = 0 if lag else still + 1


async def expected(stage: Stage) -> Alerts:
    """What the reference raises for the observations in the order in which they were grouped."""
    plan = plan_of(CONFIGURATION.rules)
    arrivals: dict[str, list[Observation]] = defaultdict(list)
    decode = msgspec.msgpack.Decoder(Observation).decode
    async with topic_reader(stage.cluster.servers, topics.GROUPED) as reader:
        async for record in reader.records(topics.GROUPED):
            arrivals[record.key.decode()].append(decode(record.value))
    alerts: Alerts = {}
    for key, observations in arrivals.items():
        planned = plan.by_grouping[tuple(sorted(group_of(key)))]
        rules = [it.rule for it in planned.rules]
        reference = Reference(
            rules, planned.widest_window_ms, CONFIGURATION.lateness_seconds * 1000
        )
        published = {it.id for it in rules if it.state is RuleState.ACTIVE}
        for observation in observations:
            _, told = reference.arrive(observation)
            for rule_id, trigger, value, total, _ in told:
                if rule_id in published:
                    alerts.setdefault((rule_id, key, trigger), (value, total))
    return alerts


def raised(till: Till) -> Alerts:
    """What was published, each alert once."""
    alerts: Alerts = {}
    for it in till.client.seen.of(topics.FRAUD_ALERT_RAISED):
        known = it["rule_id"], group_key(it["group"]), it["triggered_by"]
        alerts.setdefault(known, (Fraction(it["value"]), it["observations_total"]))
    return alerts


def same(one: Any, other: Any) -> bool:
    """Whether two alerts say the same; a value on the topic is rounded to four places."""
    return one[1] == other[1] and abs(one[0] - other[0]) <= Fraction(1, 10_000)


#: What happens while messages are sent; ends early once they are.
Trouble = Callable[[Stage, Worker, "asyncio.Future[None]"], Awaitable[None]]


async def kills(stage: Stage, worker: Worker, sending: "asyncio.Future[None]") -> None:
    while not sending.done():
        await asyncio.sleep(stage.chance.uniform(0, 4))
        worker.kill()
        await restarted(worker)


async def come_and_go(stage: Stage, worker: Worker, _: "asyncio.Future[None]") -> None:
    (second,) = await stage.started()  # it takes half of the groups
    worker.kill_beside()
    await asyncio.sleep(stage.chance.uniform(2, 6))
    await stopped(worker)  # the second one takes all of them
    await restarted(worker)
    second.kill()
    await restarted(second)


async def play(stage: Stage, publish: Publish, trouble: Trouble) -> None:
    """Send messages amid trouble, and compare the alerts with those of the reference."""
    start_ms = int(time.time() * 1000) - 2 * 3_600_000
    day = TillDay(stage.seed, BASKETS, start_ms, name="fraud")
    messages = sorted([*day.messages(), *planted(start_ms)], key=lambda it: it.leaves_at_ms)
    (worker,) = await stage.started()
    async with stage.till(topics.FRAUD_ALERT_RAISED) as till:
        sending = asyncio.ensure_future(send(till, messages, stage.chance, seconds=20))
        await trouble(stage, worker, sending)
        await sending
        await until_judged(stage, till)
        found = raised(till)
    # The reference takes its time: no client may wait for it.
    wanted = await expected(stage)
    missing = [it for it in wanted if it not in found]
    wrong = [it for it in found if it not in wanted or not same(found[it], wanted[it])]
    rules = len({rule_id for rule_id, _, _ in wanted})
    publish(
        count(messages, len(wanted), len(missing), len(wrong)),
        f"{len(wanted)} alerts of {rules} rules, {sum(it.starts for it in stage.workers)} starts",
    )
    assert (missing, wrong) == ([], [])
    assert {"drawer_openings", "price_overrides", "anonymous_payment"} <= {it[0] for it in wanted}


@pytest.mark.short
async def test_kills_while_fraud_is_judged(stage: Stage, publish: Publish) -> None:
    """`kill -9` again and again while 120 baskets and three frauds are judged."""
    await play(stage, publish, kills)


async def test_workers_come_and_go_while_fraud_is_judged(stage: Stage, publish: Publish) -> None:
    """A worker joins, a process beside the lookups dies, a worker stops, and one is killed."""
    await play(stage, publish, come_and_go)
