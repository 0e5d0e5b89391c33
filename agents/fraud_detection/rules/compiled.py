"""Compiles a rule: conditions become functions, and decimals whole numbers. Pure."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

import msgspec

from agents.fraud_detection.engine.observation import Fact, Observation, types_of
from agents.fraud_detection.rules.checks import fields_read
from agents.fraud_detection.rules.fields import APART, EVENT_TYPE, NUMBERS, SESSION_AGE, bits_of
from agents.fraud_detection.rules.rule import Condition, Function, Operator, Rule
from posstream.domain.money import ONE, read_amount

#: Judges an observation; the second argument is the age of the employee's session.
Predicate = Callable[[Observation, int | None], bool]
#: A fact of an observation, None if it has none.
Reader = Callable[[Observation, int | None], Fact | None]

_COMPARE: Final[Mapping[Operator, Callable[[Any, Any], bool]]] = {
    Operator.EQUAL: operator.eq,
    Operator.NOT_EQUAL: operator.ne,
    Operator.LESS: operator.lt,
    Operator.AT_MOST: operator.le,
    Operator.MORE: operator.gt,
    Operator.AT_LEAST: operator.ge,
}
#: Functions whose window has only observations with the field.
_OF_FIELD: Final = frozenset(
    {Function.SUM, Function.AVG, Function.MIN, Function.MAX, Function.COUNT_DISTINCT}
)
_VERSION_DIGITS: Final = 12
#: Of SEQUENCE: what an observation is in it.
IS_FIRST: Final = 1
IS_THEN: Final = 2


@dataclass(frozen=True, slots=True, eq=False)
class CompiledRule:
    """A rule, ready to judge with. The same rule gives the same object."""

    rule: Rule
    #: A digest of what the rule computes.
    version: str
    #: Id and version: what was alerted is known by it.
    key: str
    #: Its `group_by`, sorted.
    grouping: tuple[str, ...]
    window_ms: int
    cooldown_ms: int
    #: In ten-thousandths.
    limit: int
    compare: Callable[[int, int], bool]
    reads_session: bool
    #: Whether an observation is one of the rule, whatever it is worth.
    is_on: Predicate
    #: What an observation is worth in a window: the field's value; for RATIO whether `of` holds;
    #: for SEQUENCE `IS_FIRST` and `IS_THEN`. None if it is left out of windows.
    worth: Reader


@lru_cache(maxsize=1024)
def _compiled(text: bytes) -> CompiledRule:
    rule = msgspec.json.decode(text, type=Rule)
    limit = read_amount(rule.limit)
    if limit is None:
        raise AssertionError("the rule has been checked")
    version = version_of(rule)
    return CompiledRule(
        rule=rule,
        version=version,
        key=f"{rule.id}/{version}",
        grouping=grouping_of(rule),
        window_ms=rule.window_seconds * 1000,
        cooldown_ms=rule.cooldown_seconds * 1000,
        limit=limit,
        compare=_COMPARE[rule.operator],
        reads_session=SESSION_AGE in fields_read(rule),
        is_on=_is_on(rule),
        worth=_worth(rule),
    )


def compiled(rule: Rule) -> CompiledRule:
    """A rule, ready to judge with."""
    return _compiled(msgspec.json.encode(rule))


def grouping_of(rule: Rule) -> tuple[str, ...]:
    """The fields that a rule groups by; their order says nothing."""
    return tuple(sorted(str(it) for it in rule.group_by))


def version_of(rule: Rule) -> str:
    """A digest of what a rule computes.

    Name, severity and state are not in it; nor is the order of what has none.
    """
    computed = {
        "id": rule.id,
        "on": sorted(rule.on),
        "where": _canonical(rule.where),
        "group_by": sorted(rule.group_by),
        "function": rule.function,
        "field": rule.field,
        "of": _canonical(rule.of),
        "first": _canonical(rule.first),
        "then": _canonical(rule.then),
        "operator": rule.operator,
        "limit": read_amount(rule.limit),
        "window_seconds": rule.window_seconds,
        "cooldown_seconds": rule.cooldown_seconds,
        "minimum_count": rule.minimum_count,
    }
    text = msgspec.json.encode(computed, order="deterministic")
    return sha256(text).hexdigest()[:_VERSION_DIGITS]


def reader(field: str) -> Reader:
    """A function that reads one field of an observation."""
    if field == SESSION_AGE:
        return lambda _, session_age: session_age
    if field == EVENT_TYPE:
        return lambda it, _: it.event_type
    return lambda it, _: it.facts.get(field)


def predicate(conditions: Sequence[Condition] | None) -> Predicate:
    """A function that judges whether all conditions hold; without any, they do."""
    parts = [_condition(it) for it in conditions or ()]
    if not parts:
        return lambda _, __: True
    if len(parts) == 1:
        return parts[0]
    return lambda it, session_age: all(part(it, session_age) for part in parts)


def _condition(it: Condition) -> Predicate:
    read, value = reader(it.field), _value(it)
    if it.operator is Operator.IN:
        among = frozenset(value)  # None is never among them
        return lambda seen, session_age: read(seen, session_age) in among
    compare = _COMPARE[it.operator]
    if it.operator in {Operator.EQUAL, Operator.NOT_EQUAL}:
        return lambda seen, session_age: compare(read(seen, session_age), value)

    def ordered(seen: Observation, session_age: int | None) -> bool:
        found = read(seen, session_age)
        return found is not None and compare(found, value)

    return ordered


def _value(it: Condition) -> Any:
    """The value of a condition as facts are written."""
    if it.field not in NUMBERS or it.value is None:
        return it.value
    if isinstance(it.value, list):
        return [read_amount(part) for part in it.value]
    return read_amount(it.value)


def _canonical(conditions: Sequence[Condition] | None) -> list[list[Any]] | None:
    """Conditions in an order of their own: all of them must hold."""
    if conditions is None:
        return None
    told = []
    for it in conditions:
        value = _value(it)
        told.append([it.field, it.operator, sorted(value) if isinstance(value, list) else value])
    return sorted(told, key=msgspec.json.encode)


def _is_on(rule: Rule) -> Predicate:
    on, where = frozenset(rule.on), predicate(rule.where)
    # An observation from before the rule may lack what the rule reads, as nobody asked for it then.
    # It is left out of windows, and `complete_from` says so.
    needs = bits_of(fields_read(rule) - APART)
    # `types_of` answers from the type alone: it is asked once for each type.
    known: dict[str, bool] = {}

    def is_on(it: Observation, session_age: int | None) -> bool:
        listed = known.get(it.event_type)
        if listed is None:
            listed = known[it.event_type] = not on.isdisjoint(types_of(it.event_type))
        return listed and it.recorded & needs == needs and where(it, session_age)

    return is_on


def _worth(rule: Rule) -> Reader:
    if rule.function in _OF_FIELD:
        return reader(rule.field or "")
    if rule.function is Function.RATIO:
        return predicate(rule.of)
    if rule.function is Function.SEQUENCE:
        first, then = predicate(rule.first), predicate(rule.then)
        return lambda it, age: IS_FIRST * first(it, age) | IS_THEN * then(it, age)
    return lambda _, __: ONE
