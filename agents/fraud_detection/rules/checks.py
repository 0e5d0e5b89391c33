"""Checks what the types of a rule cannot say: fields, values, and what goes together. Pure.

Each refusal names the key within the condition or the rule; whoever reads a list adds the place.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from agents.fraud_detection.rules.fields import FIELDS, NUMBERS, SESSION_AGE
from posstream.domain.errors import InvalidConfiguration
from posstream.domain.money import read_amount

if TYPE_CHECKING:
    from agents.fraud_detection.rules.rule import Condition, Rule

_DECIMAL: Final = "a decimal with at most 12 digits before and 4 after the point"
_ORDERED: Final = frozenset({"<", "<=", ">", ">="})
_OF_EQUALITY: Final = frozenset({"=", "!="})
#: What a function needs besides `limit`; the other ones of these keys are refused.
_NEEDS: Final[Mapping[str, Sequence[str]]] = {
    "COUNT": (),
    "SUM": ("field",),
    "AVG": ("field",),
    "MIN": ("field",),
    "MAX": ("field",),
    "COUNT_DISTINCT": ("field",),
    "RATIO": ("of",),
    "SEQUENCE": ("first", "then"),
}
_OPTIONAL: Final = ("field", "of", "first", "then")
_OF_NUMBERS: Final = frozenset({"SUM", "AVG", "MIN", "MAX"})
#: What a group may be made of where the session of its employee is asked for.
_OF_SESSION: Final = frozenset({"employee_id", "terminal_id"})


def check_condition(it: "Condition") -> None:
    """Check the field, the operator and the value of a condition.

    Raises:
        InvalidConfiguration: naming the key in the condition.
    """
    _check_field("field", it.field)
    is_number = it.field in NUMBERS
    if it.operator in _ORDERED and not is_number:
        raise InvalidConfiguration("operator", f"must be =, != or in: `{it.field}` is text")
    if it.operator == "in":
        if not isinstance(it.value, list) or not it.value:
            raise InvalidConfiguration("value", "must be a list of at least 1 item for `in`")
        for number, part in enumerate(it.value):
            _check_value(f"value[{number}]", part, is_number=is_number)
    elif it.value is None:
        if it.operator not in _OF_EQUALITY:
            raise InvalidConfiguration("value", f"must not be null for `{it.operator}`")
    else:
        _check_value("value", it.value, is_number=is_number)


def check_rule(it: "Rule") -> None:
    """Check that the keys of a rule go together.

    Raises:
        InvalidConfiguration: naming the key in the rule.
    """
    for key in ("on", "group_by"):
        if len(set(getattr(it, key))) < len(getattr(it, key)):
            raise InvalidConfiguration(key, "must not name anything twice")
    for key in _OPTIONAL:
        _check_needed(it, key)
    if it.field is not None:
        _check_field("field", it.field)
        if it.function in _OF_NUMBERS and it.field not in NUMBERS:
            raise InvalidConfiguration("field", f"must be a number for {it.function}")
    if it.operator == "in":
        raise InvalidConfiguration("operator", "must be one of =, !=, <, <=, >, >=")
    if read_amount(it.limit) is None:
        raise InvalidConfiguration("limit", f"must be {_DECIMAL}")
    if SESSION_AGE in fields_read(it):
        _check_session(it)


def fields_read(it: "Rule") -> frozenset[str]:
    """Every field that a rule reads of an observation."""
    return frozenset(_fields_read(it))


def _fields_read(it: "Rule") -> Iterator[str]:
    for conditions in (it.where, it.of, it.first, it.then):
        for condition in conditions or ():
            yield condition.field
    if it.field is not None:
        yield it.field


def _check_needed(it: "Rule", key: str) -> None:
    given = getattr(it, key)
    if key not in _NEEDS[it.function]:
        if given is not None:
            raise InvalidConfiguration(key, f"must be left out for {it.function}")
    elif not given:
        raise InvalidConfiguration(key, f"must be given for {it.function}")


def _check_session(it: "Rule") -> None:
    if "employee_id" not in it.group_by or not _OF_SESSION.issuperset(it.group_by):
        raise InvalidConfiguration(
            "group_by", f"must be employee_id, alone or with terminal_id, to read `{SESSION_AGE}`"
        )


def _check_field(key: str, name: str) -> None:
    if name not in FIELDS:
        raise InvalidConfiguration(key, f"must be one of {', '.join(sorted(FIELDS))}")


def _check_value(key: str, value: object, *, is_number: bool) -> None:
    if is_number:
        if read_amount(value) is None:
            raise InvalidConfiguration(key, f"must be {_DECIMAL}")
    elif not isinstance(value, str):
        raise InvalidConfiguration(key, "must be text")
