"""Rules of fraud detection that are edited while events flow."""

from collections.abc import Mapping, Sequence

import msgspec
import pytest

from agents.fraud_detection import topics
from agents.fraud_detection.rules.rule import Rule
from tests.chaos.checks import Publish
from tests.chaos.fraud_items import (
    WINDOW_SECONDS,
    Adding,
    Item,
    Told,
    alerts,
    counted,
    of_new_rule,
    rule,
    value_of,
    values,
)
from tests.chaos.fraud_play import UNBOUNDED, configure, until_judged
from tests.chaos.stage import Stage

TILLS = 4
PER_SECOND = 20

BEFORE, AFTER, STAYS = rule("edited", 3), rule("edited", 6), rule("stays", 5)
#: It reads what nobody recorded before.
NEW = rule("new", 2, where=[{"field": "quantity", "operator": ">=", "value": 1}])


def said(told: Told) -> dict[str, int]:
    return {event_id: value_of(it) for event_id, it in told.items()}


def is_split(items: Sequence[Item], before: Told, after: Told) -> bool:
    """Whether one version of the edited rule judged all items up to one, and the other the rest."""
    ids = [it.event_id for it in items]

    def part(of: Rule, some: Sequence[str]) -> Mapping[str, int]:
        return {event_id: it for event_id, it in values(of, items).items() if event_id in some}

    return any(
        said(before) == part(BEFORE, ids[:at]) and said(after) == part(AFTER, ids[at:])
        for at in range(len(ids) + 1)
    )


@pytest.mark.short
async def test_rules_are_edited_while_events_flow(stage: Stage, publish: Publish) -> None:
    """One rule gets another limit, one is new, one stays: each version's alerts are exact."""
    (worker,) = await stage.started()
    await configure(worker, rules=msgspec.to_builtins([BEFORE, STAYS]), **UNBOUNDED)
    async with stage.till(topics.FRAUD_ALERT_RAISED) as till:
        adding = Adding(till, TILLS)

        async def raised(of: Rule) -> None:
            await till.client.read_until(lambda _: len(alerts(till, of)) == TILLS)

        async with adding.keeps_adding(PER_SECOND):
            await raised(BEFORE)
            await configure(worker, rules=msgspec.to_builtins([STAYS, AFTER, NEW]))
            await raised(AFTER)
            await raised(NEW)
            await till.client.read_for(2 * WINDOW_SECONDS)
        await until_judged(stage.cluster.servers)
        await till.client.read_for(1)
        before, after, stays, new = (alerts(till, it) for it in (BEFORE, AFTER, STAYS, NEW))
    lost, wrong, number = [], [], 0
    for terminal, items in adding.of("terminal_id").items():
        number += sum(len(it[terminal]) for it in (before, after, stays, new))
        if not is_split(items, before[terminal], after[terminal]):
            wrong.append((terminal, "edited"))
        if said(stays[terminal]) != values(STAYS, items):
            wrong.append((terminal, "stays"))
        first_ms = min(it.at_ms for it in items if it.event_id in new[terminal])
        found = of_new_rule(NEW, items, new[terminal], first_ms)
        lost += found[0]
        wrong += [(terminal, it) for it in found[1]]
    publish(
        counted(len(adding.items), number, lost, wrong), f"{number} alerts of 4 versions of rules"
    )
    assert (lost, wrong) == ([], [])
