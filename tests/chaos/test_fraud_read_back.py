"""Rules of fraud detection that read past events back."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

import msgspec
import pytest

from agents.fraud_detection import topics
from agents.fraud_detection.rules.rule import Rule
from posstream.settings import PARTITIONS
from tests.chaos.checks import Publish, restarted
from tests.chaos.fraud_items import Adding, alerts, counted, of_new_rule, rule, whole_from_ms
from tests.chaos.fraud_play import UNBOUNDED, configure, until_judged
from tests.chaos.stage import Stage, Till

#: So many that no group alerts too often for what it keeps of its alerts.
TILLS = 40
PER_SECOND = 10
#: Items before the edit, and how old the first of them is.
PAST, PAST_SECONDS = 2_000, 7_200
#: Longer than what is kept for late events.
HOURS = {"limit": 1, "window_seconds": 108_000}
#: Within this time every worker follows an edit (contract, section 4).
FOLLOWED_MS = 2_000
KNOWN = rule("known", 1_000)
#: Rules that miss all that is past, by what they miss; and by what they group.
MISSED = [
    (rule("fact", function="SUM", field="quantity", **HOURS), "terminal_id"),
    (rule("window", **HOURS), "terminal_id"),
    (rule("grouping", group_by=["employee_id"], **HOURS), "employee_id"),
]
RULES = [it for it, _ in MISSED]


async def adds_the_past(adding: Adding) -> None:
    """Items of the last hours, whose messages come now."""
    now_ms = int(time.time() * 1000)
    for first in range(0, PAST, 100):
        ages = (PAST_SECONDS * (PAST - it) // PAST for it in range(first, first + 100))
        await asyncio.gather(*(adding.add(now_ms - 1000 * it) for it in ages))


async def has_read(till: Till, percent: int) -> int:
    """Wait until some of what the rules missed is read, from now on; how much it is then."""
    before = len(told_percents(till))
    await till.client.read_until(lambda _: any(it >= percent for it in since(till, before)), 120)
    return max(since(till, before))


def told_percents(till: Till) -> list[tuple[str, int, int]]:
    """What was told of the readings: rule, partition, percent."""
    told = till.client.seen.of(topics.EPISODES)
    return [(it["rule_id"], it["partition"], it["percent"]) for it in told if "percent" in it]


def since(till: Till, before: int) -> Sequence[int]:
    """The percentages that were told after so many others."""
    return [percent for *_, percent in told_percents(till)[before:]]


async def is_read_back(till: Till, rules: Sequence[Rule]) -> None:
    """Wait until no partition misses events for some rules."""
    wanted = {(it.id, number): 100 for it in rules for number in range(PARTITIONS)}

    def newest() -> dict[tuple[str, int], int]:
        return {(rule_id, number): it for rule_id, number, it in told_percents(till)}

    await till.client.read_until(lambda _: newest() == wanted, 240)


@pytest.mark.short
async def test_new_rules_read_back_while_workers_die(stage: Stage, publish: Publish) -> None:
    """Rules that miss hours of events; `kill -9` of worker and child while they are read back."""
    (worker,) = await stage.started()
    await configure(worker, rules=msgspec.to_builtins([KNOWN]), **UNBOUNDED)
    async with stage.till(topics.FRAUD_ALERT_RAISED, topics.EPISODES) as till:
        adding = Adding(till, TILLS)
        await adds_the_past(adding)
        await until_judged(stage.cluster.servers)
        async with adding.keeps_adding(PER_SECOND):
            await configure(worker, rules=msgspec.to_builtins([KNOWN, *RULES]), **UNBOUNDED)
            since_ms = int(time.time() * 1000) + FOLLOWED_MS
            killed_at = [await has_read(till, stage.chance.randrange(20, 60))]
            worker.kill_beside()
            killed_at.append(await has_read(till, stage.chance.randrange(20, 60)))
            worker.kill()
            await restarted(worker)
            await is_read_back(till, RULES)
            await till.client.read_for(10)
        await until_judged(stage.cluster.servers)
        await till.client.read_for(1)
        found = [(it, field, alerts(till, it, field)) for it, field in MISSED]
    lost, wrong, number = [], [], Counter[str]()
    for of, field, told in found:
        flagged = [whole_from_ms(it) for those in told.values() for it in those.values()]
        assert any(flagged), "it alerted before all was read back"
        first_ms = max(since_ms, *flagged)
        for group, items in adding.of(field).items():
            missing, bad = of_new_rule(of, items, told[group], first_ms)
            lost += [(of.id, it) for it in missing]
            wrong += [(of.id, it) for it in bad]
        number["whole"] += flagged.count(0)
        number["flagged"] += len(flagged) - flagged.count(0)
    publish(
        counted(len(adding.items), number.total(), lost, wrong),
        f"{number['whole']} alerts of whole windows, {number['flagged']} from before with "
        f"`complete_from`, killed at {killed_at[0]} and {killed_at[1]} % of the reading",
    )
    assert (lost, wrong) == ([], [])
    newest = [
        told[group][max(told[group], key=lambda it: int(it[5:]))]
        for _, __, told in found
        for group in told
    ]
    assert not any(map(whole_from_ms, newest)), "it read all back"
