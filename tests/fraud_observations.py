"""Rules and observations for tests of fraud detection: made one by one, or by hypothesis."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from hypothesis import strategies as st

from agents.fraud_detection.engine.judged import Put
from agents.fraud_detection.engine.judging import Group
from agents.fraud_detection.engine.observation import Observation
from agents.fraud_detection.rules.rule import Rule

PAID, REFUNDED = "PAYMENT_COMPLETED", "PAYMENT_REFUNDED"
LOGIN, LOGOUT = "EMPLOYEE_LOGGED_IN", "EMPLOYEE_LOGGED_OUT"
SCANNED, UNKNOWN = "CUSTOMER_IDENTIFIED", "CUSTOMER_LOOKUP_FAILED"


def rule(**changes: Any) -> Rule:
    """A rule: two payments of an employee within 10 s."""
    made = {
        "id": "many",
        "name": "Many payments",
        "severity": "LOW",
        "on": [PAID],
        "group_by": ["employee_id"],
        "function": "COUNT",
        "operator": ">=",
        "limit": 2,
        "window_seconds": 10,
    }
    return msgspec.convert(made | changes, Rule)


def condition(field: str, operator: str, value: Any) -> dict[str, Any]:
    return {"field": field, "operator": operator, "value": value}


def paid(event_id: str, at_ms: int, amount: int = 100_000, **changes: Any) -> Observation:
    """A payment, in ten-thousandths."""
    return observation(event_id, at_ms, PAID, {"amount": amount}, **changes)


def observation(
    event_id: str,
    at_ms: int,
    event_type: str,
    facts: Mapping[str, Any] | None = None,
    *,
    revision: int = 1,
    written_ms: int | None = None,
) -> Observation:
    written_ms = at_ms if written_ms is None else written_ms
    return Observation(event_id, revision, at_ms, written_ms, event_type, dict(facts or {}))


class Table:
    """Where a group is stored."""

    def __init__(self) -> None:
        self.values: dict[int | None, bytes] = {}

    def read(self, segment: int | None) -> bytes | None:
        return self.values.get(segment)

    def keep(self, group: Group, most: int | None = None) -> Sequence[Put]:
        """Write what a group has to write; a crash comes after `most` changes."""
        puts = group.take_puts()[:most]
        self.write(puts)
        return puts

    def write(self, puts: Sequence[Put]) -> None:
        for put in puts:
            if put.value is None:
                self.values.pop(put.segment, None)
            else:
                self.values[put.segment] = put.value

    def group(self, segment: int) -> Group:
        return Group(self.read(None), self.read, segment=segment)


_conditions = st.one_of(
    st.sampled_from([">=", "<", "=", "!="]).flatmap(
        lambda operator: st.sampled_from([0, "2.5", 10]).map(
            lambda value: condition("amount", operator, value)
        )
    ),
    st.just(condition("method", "in", ["CASH", "CARD"])),
    st.just(condition("method", "=", None)),
    st.just(condition("method", "!=", "CASH")),
    st.just(condition("amount", "in", [0, "2.5000"])),
    st.just(condition("event_type", "=", REFUNDED)),
    st.sampled_from(["<=", "=", "!="]).map(
        lambda operator: condition(
            "employee.session_age_seconds", operator, 3 if operator == "<=" else None
        )
    ),
)


@st.composite
def rules(draw: st.DrawFn) -> list[Rule]:
    """One to three rules of one grouping, of any function."""
    return [_rule(draw, f"rule_{number}") for number in range(draw(st.integers(1, 3)))]


def _rule(draw: st.DrawFn, rule_id: str) -> Rule:
    function = draw(
        st.sampled_from(
            ["COUNT", "SUM", "AVG", "MIN", "MAX", "COUNT_DISTINCT", "RATIO", "SEQUENCE"]
        )
    )
    some = st.lists(_conditions, min_size=1, max_size=2)
    needs: dict[str, Any] = {}
    limits = st.sampled_from([1, 2, 3])
    if function in {"SUM", "AVG", "MIN", "MAX"}:
        needs = {"field": "amount"}
        limits = st.sampled_from([0, "2.5", 5, 10])
    elif function == "COUNT_DISTINCT":
        needs = {"field": draw(st.sampled_from(["amount", "method", "terminal_id"]))}
    elif function == "RATIO":
        needs = {"of": draw(some)}
        limits = st.sampled_from(["0.5", 1, "0.3333"])
    elif function == "SEQUENCE":
        needs = {"first": draw(some), "then": draw(some)}
    return rule(
        id=rule_id,
        function=function,
        on=draw(
            st.sampled_from(
                [[PAID], [PAID], [PAID, REFUNDED, LOGIN], [SCANNED, PAID], [UNKNOWN, PAID]]
            )
        ),
        where=[draw(_conditions)] if draw(st.integers(0, 3)) == 0 else [],
        operator=draw(st.sampled_from([">=", ">=", ">", "<", "<=", "=", "!="])),
        limit=draw(limits),
        window_seconds=draw(st.sampled_from([1, 3, 8])),
        cooldown_seconds=draw(st.sampled_from([0, 1, 2, 6])),
        minimum_count=draw(st.sampled_from([1, 1, 2, 3])),
        **needs,
    )


_STEPS = st.sampled_from([0, 0, 1, 500, 999, 1000, 2000, 3000, 8000])
#: An example has one of these mixes: rare things must meet to be seen.
_MIXES = st.sampled_from(
    [[PAID], [PAID, REFUNDED], [PAID, PAID, LOGIN, LOGOUT], [PAID, SCANNED, UNKNOWN, LOGIN]]
)
_AMOUNTS = st.sampled_from([None, -25_000, 0, 24_999, 25_000, 50_000, 100_000])


@st.composite
def arrivals(draw: st.DrawFn, *, moves: bool = False, most: int = 25) -> list[Observation]:
    """Observations as they arrive: late, repeated, revised, and some at one time.

    Args:
        draw: given by hypothesis.
        moves: whether a revision may be at another time.
        most: arrivals.
    """
    # Without a size of its own, hypothesis makes short lists.
    size = draw(st.integers(1, most))
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["next", "next", "next", "late", "again"]),
                st.sampled_from("aaab"),
                _STEPS,
                st.integers(0, most),
                st.sampled_from([0, 0, 1500, 4000]),
            ),
            min_size=size,
            max_size=size,
        )
    )
    types = st.sampled_from(draw(_MIXES))
    made: list[Observation] = []
    newest = 0
    for number, (kind, letter, step, pick, lateness) in enumerate(steps):
        event_id, revision, event_type = f"{letter}{number:02}", 1, draw(types)
        at_ms = newest + step if kind == "next" else max(0, newest - step)
        if kind == "again" and made:
            known = made[pick % len(made)]
            event_id, revision = known.event_id, known.revision + step % 2
            if not moves:
                at_ms, event_type = known.at_ms, known.event_type
        newest = max(newest, at_ms)
        facts = {
            "amount": draw(_AMOUNTS),
            "method": draw(st.sampled_from([None, "CASH", "CARD"])),
            "terminal_id": draw(st.sampled_from(["t1", "t2"])),
        }
        made.append(
            observation(
                event_id,
                at_ms,
                event_type,
                {name: value for name, value in facts.items() if value is not None},
                revision=revision,
                written_ms=at_ms + lateness,
            )
        )
    return made
