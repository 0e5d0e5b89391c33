"""The form of one rule: its fields as they are typed, and the rule that they mean. Pure.

Fields that the chosen function does not take are kept as typed, and are no part of the rule.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from agents.fraud_detection.rules.rule import Condition, EventType, Function, GroupField, Rule
from posstream.domain.errors import InvalidConfiguration

#: Lists of conditions, each a few rows of the form.
LISTS: Final = ("where", "of", "first", "then")
#: Rows of a list, at most; a form has 200 fields at most.
MAX_ROWS: Final = 8
#: Rows of a list, at least; one more than there are conditions.
_LEAST_ROWS: Final = 2
_COLUMNS: Final = ("field", "operator", "value")
_PLAIN: Final = ("id", "name", "severity", "state", "function", "operator", "limit")
_COUNTS: Final = ("window_seconds", "cooldown_seconds", "minimum_count")
#: Each can be ticked: `on.ITEM_ADDED`.
_TICKED: Final[Mapping[str, Sequence[str]]] = {
    "on": [kind.value for kind in EventType],
    "group_by": [name.value for name in GroupField],
}
_TICK: Final = "on"
#: Functions that compute over `field`.
OVER_FIELD: Final = frozenset(
    {Function.SUM, Function.AVG, Function.MIN, Function.MAX, Function.COUNT_DISTINCT}
)
#: Lists that only one function takes.
_TAKEN_BY: Final = {"of": Function.RATIO, "first": Function.SEQUENCE, "then": Function.SEQUENCE}
_MISSING: Final[Mapping[str, str]] = {
    "id": "Give the rule an id, such as many_refunds: it stands in every alert.",
    "name": "Give the rule a name.",
    "on": "Choose at least one kind of event.",
    "group_by": "Choose at least one.",
    "limit": "Say at which value the rule holds.",
    "window_seconds": "Say how far the rule looks back.",
}
_ID: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
_WHOLE: Final = re.compile(r"-?[0-9]{1,15}")
_LENGTH: Final = re.compile(r"([0-9]{1,9}) *(s|min|h|d|day|days)")
_UNITS: Final = {"s": 1, "min": 60, "h": 3_600, "d": 86_400, "day": 86_400, "days": 86_400}
_STEP: Final = re.compile(r"\[(\d+)\]")
#: What a form of a new rule holds first.
_FIRST: Final[Mapping[str, str]] = {
    "severity": "MEDIUM",
    "state": "SHADOW",
    "function": "COUNT",
    "operator": ">=",
    "window_seconds": "300",
    "cooldown_seconds": "300",
    "minimum_count": "1",
}


@dataclass(frozen=True, slots=True)
class TypedRule:
    """What the form of a rule holds."""

    #: By field; a field that is not there is empty.
    texts: Mapping[str, str]
    #: Of the configuration that the form was opened with.
    version: int = 0
    #: Why the rule is changed, for the history.
    description: str = ""

    def text(self, name: str) -> str:
        """The text of a field."""
        return self.texts.get(name, "")

    def rows(self, listed: str) -> range:
        """The rows that the form shows of a list of conditions."""
        used = [number for number in range(MAX_ROWS) if self._is_used(listed, number)]
        return range(min(max(used[-1] + 2 if used else 0, _LEAST_ROWS), MAX_ROWS))

    @property
    def hidden(self) -> Sequence[tuple[str, str]]:
        """Everything, for a form that only confirms."""
        return [
            *self.texts.items(),
            ("expected_version", str(self.version)),
            ("description", self.description),
        ]

    @property
    def missing(self) -> Mapping[str, str]:
        """What must be said and is not, by field, and an id that is none."""
        found = {
            name: why
            for name, why in _MISSING.items()
            if not (self._ticked(name) if name in _TICKED else self.text(name))
        }
        if "id" not in found and not _ID.fullmatch(self.text("id")):
            found["id"] = "Use a to z, digits and _, at most 63, and begin with a letter."
        return found

    def document(self) -> dict[str, Any]:
        """The rule as JSON, not checked: what cannot be read stays a text, which is refused."""
        function = self.text("function")
        made: dict[str, Any] = {name: self.text(name) for name in _PLAIN}
        made["limit"] = _number(self.text("limit"))
        made |= {name: _count(self.text(name)) for name in _COUNTS if self.text(name)}
        made |= {name: self._ticked(name) for name in _TICKED}
        made["where"] = self._conditions("where")
        if function in OVER_FIELD and self.text("field"):
            made["field"] = self.text("field")
        for name, taker in _TAKEN_BY.items():
            if function == taker:
                made[name] = self._conditions(name)
        return made

    def error_at(self, place: str) -> str | None:
        """The field of the form for a place in the rule, such as `where[0].value`."""
        name, *rest = _STEP.split(place, maxsplit=1)
        if name in LISTS and rest:
            rows = [number for number in range(MAX_ROWS) if self._is_used(name, number)]
            index, column = int(rest[0]), rest[1].lstrip(".").partition("[")[0]
            if index < len(rows):
                return f"{name}.{rows[index]}.{column if column in _COLUMNS else 'value'}"
        known = {*_PLAIN, *_COUNTS, *_TICKED, *LISTS, "field"}
        return name if name in known else None

    def _is_used(self, listed: str, number: int) -> bool:
        return any(self.text(f"{listed}.{number}.{column}") for column in ("field", "value"))

    def _ticked(self, name: str) -> list[str]:
        return [it for it in _TICKED[name] if self.text(f"{name}.{it}")]

    def _conditions(self, listed: str) -> list[dict[str, Any]]:
        return [
            _condition(*(self.text(f"{listed}.{number}.{column}") for column in _COLUMNS))
            for number in range(MAX_ROWS)
            if self._is_used(listed, number)
        ]


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong with a rule: by field, and about all of it."""

    errors: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


def new_rule(version: int) -> TypedRule:
    """The form of a rule that is not there yet: it begins in the shadow."""
    return TypedRule(_FIRST, version)


def of_rule(rule: Rule, version: int) -> TypedRule:
    """The form of a rule as it is."""
    texts = {name: str(getattr(rule, name)) for name in (*_PLAIN, *_COUNTS)}
    texts["field"] = rule.field or ""
    for name in _TICKED:
        texts |= {f"{name}.{it}": _TICK for it in getattr(rule, name)}
    for listed in LISTS:
        for number, it in enumerate(getattr(rule, listed) or ()):
            texts |= {f"{listed}.{number}.{key}": text for key, text in _typed(it)}
    return TypedRule(texts, version)


def of_post(sent: Mapping[str, str], version: int) -> TypedRule:
    """The form as it was sent; what is no field of it is left out."""
    texts = {name: sent[name].strip() for name in _names() if sent.get(name, "").strip()}
    return TypedRule(texts, version, sent.get("description", "").strip())


def wrong(typed: TypedRule, why: InvalidConfiguration) -> Wrong:
    """Where in the form a refusal belongs.

    Args:
        typed: the form.
        why: its key is a place in the list of all rules, such as `rules[2].where[0].value`.
    """
    place = re.sub(r"^rules(\[\d+\])?\.?", "", why.key)
    name = typed.error_at(place)
    if name is None:
        return Wrong(problem=f"{place or 'the rule'} {why.why}")
    return Wrong(errors={name: f"This {why.why}."})


def _names() -> Iterator[str]:
    yield from (*_PLAIN, *_COUNTS, "field")
    for name, ticks in _TICKED.items():
        yield from (f"{name}.{tick}" for tick in ticks)
    for listed in LISTS:
        for number in range(MAX_ROWS):
            yield from (f"{listed}.{number}.{column}" for column in _COLUMNS)


def _typed(it: Condition) -> Iterator[tuple[str, str]]:
    yield "field", it.field
    yield "operator", it.operator.value
    values = it.value if isinstance(it.value, list) else [it.value]
    yield "value", ", ".join("" if value is None else str(value) for value in values)


def _condition(name: str, operator: str, text: str) -> dict[str, Any]:
    value: Any = text or None
    if operator == "in":
        value = [part.strip() for part in text.split(",") if part.strip()]
    return {"field": name, "operator": operator or "=", "value": value}


def _number(text: str) -> int | str:
    return int(text) if _WHOLE.fullmatch(text) else text


def _count(text: str) -> int | str:
    """A whole number, or a length of time such as `5 min` in seconds."""
    found = _LENGTH.fullmatch(text)
    return int(found[1]) * _UNITS[found[2]] if found else _number(text)
