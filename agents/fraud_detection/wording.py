"""Says a rule, and an alert's value against its limit, in one plain sentence. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from agents.fraud_detection.events.outputs import FraudAlertRaised
from agents.fraud_detection.rules.fields import EVENT_TYPE
from agents.fraud_detection.rules.rule import Condition, EventType, Function, Operator, Rule
from posstream.domain.money import amount_text, read_amount

#: By type: one of it, and more than one.
_NOUNS: Final[Mapping[str, tuple[str, str]]] = {
    EventType.ITEM_ADDED: ("scanned item", "scanned items"),
    EventType.ITEM_REMOVED: ("removed item", "removed items"),
    EventType.ITEM_QUANTITY_CHANGED: ("changed quantity", "changed quantities"),
    EventType.PRICE_OVERRIDDEN: ("price override", "price overrides"),
    EventType.DISCOUNT_APPLIED: ("discount", "discounts"),
    EventType.BASKET_FINALIZED: ("finished basket", "finished baskets"),
    EventType.BASKET_VOIDED: ("voided basket", "voided baskets"),
    EventType.PAYMENT_COMPLETED: ("payment", "payments"),
    EventType.PAYMENT_REFUNDED: ("refund", "refunds"),
    EventType.DRAWER_OPENED: ("drawer opening", "drawer openings"),
    EventType.EMPLOYEE_LOGGED_IN: ("login", "logins"),
    EventType.EMPLOYEE_LOGGED_OUT: ("logout", "logouts"),
    EventType.CUSTOMER_IDENTIFIED: ("customer scan", "customer scans"),
    EventType.CUSTOMER_LOOKUP_FAILED: ("failed lookup", "failed lookups"),
    EventType.BASKET_STARTED: ("started basket", "started baskets"),
}
_EVENTS: Final = ("event", "events")
#: What a group is named by: the word before it, and its noun.
_GROUPS: Final[Mapping[str, tuple[str, str]]] = {
    "employee_id": ("of", "employee"),
    "customer_id": ("of", "customer"),
    "basket_id": ("of", "basket"),
    "product_id": ("of", "product"),
    "method": ("by", "method"),
    "terminal_id": ("at", "terminal"),
}
_COMPARED: Final[Mapping[str, str]] = {
    Operator.EQUAL: "is",
    Operator.NOT_EQUAL: "is not",
    Operator.LESS: "is less than",
    Operator.AT_MOST: "is at most",
    Operator.MORE: "is more than",
    Operator.AT_LEAST: "is at least",
    Operator.IN: "is one of",
}
_REACHED: Final[Mapping[str, str]] = {
    Operator.EQUAL: "exactly {}",
    Operator.NOT_EQUAL: "anything but {}",
    Operator.LESS: "less than {}",
    Operator.AT_MOST: "{} or less",
    Operator.MORE: "more than {}",
    Operator.AT_LEAST: "{} or more",
}
_LIMITS: Final[Mapping[str, str]] = {**_REACHED, Operator.AT_LEAST: "{}"}
_COMPUTED: Final[Mapping[str, str]] = {
    Function.SUM: "sum of",
    Function.AVG: "average",
    Function.MIN: "lowest",
    Function.MAX: "highest",
}
_MONEY: Final = frozenset({"amount", "unit_price", "basket.total", "basket.paid"})
#: Up to this many seconds, a length is said in seconds, as it stands in the rule.
_MANY_SECONDS: Final = 600
_UNITS: Final = ((86_400, "days"), (3_600, "h"), (60, "min"))


def sentence(rule: Rule) -> str:
    """What a rule looks for: `10 or more ITEM_ADDED at one terminal within 60 s`."""
    on = _listed(rule.on)
    reached = _REACHED[rule.operator].format(_quantity(rule.function, rule.field, rule.limit))
    where = _where(rule.where, ", where ")
    if _is_any(rule):
        return f"any {on}{where}"
    if _is_of_one(rule):
        return f"any {on} with {rule.field} of {reached}{where}"
    place = _place({name: f"one {_grouped(name)[1]}" for name in rule.group_by})
    place += f" within {length(rule.window_seconds)}{where}"
    if rule.function is Function.COUNT:
        said = f"{reached} {on} {place}"
    elif rule.function is Function.COUNT_DISTINCT:
        said = f"{reached} different {_distinct(rule.field)} in {on} {place}"
    elif rule.function is Function.RATIO:
        said = f"{reached} of {on} {place} are {_some(rule.of, 'ones')}"
    elif rule.function is Function.SEQUENCE:
        first, then = _some(rule.first, on), _some(rule.then, "one")
        said = f"{reached} {first}, then {then}, {place}"
    else:
        article = "an" if rule.function is Function.AVG else "a"
        what = f"{article} {_COMPUTED[rule.function]} {rule.field}"
        said = f"{what} of {reached} over {on} {place}"
    few = f", from {rule.minimum_count} events on" if rule.minimum_count > 1 else ""
    return said + few


def reason(alert: FraudAlertRaised, rule: Rule | None) -> str:
    """Why an alert was raised: `3 payments of customer C within 300 s; the limit is 3`.

    Args:
        alert: what was raised, with customers as the reader may see them.
        rule: as it was then; None if that is not known any more.
    """
    place = _place({name: who(name, value) for name, value in alert.group.items()})
    nouns = _nouns(alert, rule)
    if rule is not None and _is_any(rule):
        seen = _triggering(alert, [it.field for it in rule.where])
        return f"a {nouns[0]} {place}{seen}; the rule looks for {sentence(rule)}"
    field = None if rule is None else rule.field
    value, limit = (
        _quantity(alert.function, field, number) for number in (alert.value, alert.limit)
    )
    total = f"{alert.observations_total:,} {nouns[alert.observations_total != 1]}"
    where = f"{place} within {length(alert.window_seconds)}"
    if _is_of_one(alert):
        said = f"a {nouns[0]} {place} with {field or 'a value of'} {value}"
    elif alert.function is Function.COUNT:
        said = f"{value} {nouns[value != '1']} {where}"
    elif alert.function is Function.COUNT_DISTINCT:
        said = f"{value} different {_distinct(field)} in {total} {where}"
    elif alert.function is Function.RATIO:
        of = "" if rule is None else f" are {_some(rule.of, 'ones')}"
        said = f"{value} of {total} {where}{of}"
    elif alert.function is Function.SEQUENCE:
        first, then = (None, None) if rule is None else (rule.first, rule.then)
        before = _some(first, nouns[value != "1"])
        said = f"{value} {before} came before {_some(then, 'one')}, {where}"
    else:
        what = f"{_COMPUTED[alert.function]} {field or 'value'}"
        said = f"the {what} is {value} over {total} {where}"
    return f"{said}; the limit is {_LIMITS[alert.operator].format(limit)}"


def who(name: str, value: str) -> str:
    """One name of a group in words: `customer CUST_001`; one that is empty was forgotten."""
    noun = _grouped(name)[1]
    return f"{noun} {value}" if value else f"a forgotten {noun}"


def length(seconds: int) -> str:
    """A length of time: `60 s`, `300 s`, `15 min`, `24 h`, `2 days`."""
    for unit, name in _UNITS:
        least = 2 * unit if name == "days" else unit
        if seconds > _MANY_SECONDS and seconds >= least and seconds % unit == 0:
            return f"{seconds // unit} {name}"
    return f"{seconds:,} s"


def condition(it: Condition) -> str:
    """A condition in words: `amount is at least 1000`."""
    if it.value is None:
        return f"{it.field} is {'not ' if it.operator is Operator.EQUAL else ''}known"
    values = it.value if isinstance(it.value, list) else [it.value]
    return f"{it.field} {_COMPARED[it.operator]} {', '.join(map(str, values))}"


def _is_any(rule: Rule) -> bool:
    """Whether each event for which `where` holds is a hit, whatever else is in the window."""
    counts = rule.function is Function.COUNT and rule.operator is Operator.AT_LEAST
    return counts and Decimal(str(rule.limit)) <= 1 and rule.minimum_count == 1


def _is_of_one(it: Rule | FraudAlertRaised) -> bool:
    """Whether the value is that of a single event, as good as always."""
    highest = it.function is Function.MAX and it.operator in {Operator.AT_LEAST, Operator.MORE}
    return highest and it.window_seconds == 1


def _triggering(alert: FraudAlertRaised, names: Iterable[str]) -> str:
    """What the event that raised an alert has in some fields: ` with amount 12.50`."""
    found = [it.fields for it in alert.observations if it.event_id == alert.triggered_by]
    fields = found[0] if found else {}
    seen = [
        f"{name} {fields[name]}"
        for name in dict.fromkeys(names)
        if name in fields and name not in alert.group
    ]
    return f" with {' and '.join(seen)}" if seen else ""


def _nouns(alert: FraudAlertRaised, rule: Rule | None) -> tuple[str, str]:
    types = {it.event_type for it in alert.observations} if rule is None else {*rule.on}
    return _NOUNS.get(next(iter(types)), _EVENTS) if len(types) == 1 else _EVENTS


def _grouped(name: str) -> tuple[str, str]:
    """Of a name that another release groups by, itself."""
    return _GROUPS.get(name, ("of", name))


def _place(group: Mapping[str, str]) -> str:
    """Whose events: `of employee 7 and customer C at terminal t1`."""
    told = []
    for preposition in ("of", "by", "at"):
        its = [words for name, words in group.items() if _grouped(name)[0] == preposition]
        if its:
            told.append(f"{preposition} {' and '.join(its)}")
    return " ".join(told)


def _distinct(field: str | None) -> str:
    if field is not None and field in _GROUPS:
        return f"{_GROUPS[field][1]}s"
    return f"values of {field}" if field else "values"


def _listed(words: Sequence[str]) -> str:
    """`A`, `A or B`, `A, B or C`."""
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _where(conditions: Sequence[Condition] | None, before: str = " where ") -> str:
    return before + " and ".join(map(condition, conditions)) if conditions else ""


def _some(conditions: Sequence[Condition] | None, else_: str) -> str:
    """The events for which conditions hold, by their type if a condition names it."""
    kinds = [it for it in conditions or () if _names_type(it)]
    rest = [it for it in conditions or () if not _names_type(it)]
    return f"{kinds[0].value if kinds else else_}{_where(rest)}"


def _names_type(it: Condition) -> bool:
    return it.field == EVENT_TYPE and it.operator is Operator.EQUAL


def _quantity(function: Function, field: str | None, number: float | str) -> str:
    """A value or a limit as people read it: a share in per cent, money with two places."""
    exact = Decimal(str(number))
    if function is Function.RATIO:
        return f"{_plain(exact * 100)} %"
    if function in _COMPUTED and field in _MONEY:
        amount = read_amount(str(number))
        return _plain(exact) if amount is None else amount_text(amount)
    return _plain(exact)


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
