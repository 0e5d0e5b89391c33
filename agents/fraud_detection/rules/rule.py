"""What a rule of fraud detection is (contract, section 8). Pure."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from agents.fraud_detection.rules.checks import check_condition, check_rule


class Severity(StrEnum):
    """How bad it is."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    CRITICAL = "CRITICAL"


class RuleState(StrEnum):
    """What becomes of a rule's alerts."""

    ACTIVE = "ACTIVE"
    #: Counted and listed, not published.
    SHADOW = "SHADOW"
    #: Not judged; its observations are kept all the same, so that it is exact when it goes on.
    PAUSED = "PAUSED"


class EventType(StrEnum):
    """What a rule can be on."""

    ITEM_ADDED = "ITEM_ADDED"
    ITEM_REMOVED = "ITEM_REMOVED"
    ITEM_QUANTITY_CHANGED = "ITEM_QUANTITY_CHANGED"
    PRICE_OVERRIDDEN = "PRICE_OVERRIDDEN"
    DISCOUNT_APPLIED = "DISCOUNT_APPLIED"
    BASKET_FINALIZED = "BASKET_FINALIZED"
    BASKET_VOIDED = "BASKET_VOIDED"
    PAYMENT_COMPLETED = "PAYMENT_COMPLETED"
    PAYMENT_REFUNDED = "PAYMENT_REFUNDED"
    DRAWER_OPENED = "DRAWER_OPENED"
    EMPLOYEE_LOGGED_IN = "EMPLOYEE_LOGGED_IN"
    EMPLOYEE_LOGGED_OUT = "EMPLOYEE_LOGGED_OUT"
    #: Every scan of a customer, whatever its answer.
    CUSTOMER_IDENTIFIED = "CUSTOMER_IDENTIFIED"
    CUSTOMER_LOOKUP_FAILED = "CUSTOMER_LOOKUP_FAILED"
    BASKET_STARTED = "BASKET_STARTED"


class GroupField(StrEnum):
    """What observations can be grouped by."""

    EMPLOYEE_ID = "employee_id"
    TERMINAL_ID = "terminal_id"
    CUSTOMER_ID = "customer_id"
    BASKET_ID = "basket_id"
    PRODUCT_ID = "product_id"
    METHOD = "method"


class Operator(StrEnum):
    """How a condition compares."""

    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    IN = "in"


class Function(StrEnum):
    """What is computed over a window."""

    COUNT = "COUNT"
    SUM = "SUM"
    AVG = "AVG"
    MIN = "MIN"
    MAX = "MAX"
    COUNT_DISTINCT = "COUNT_DISTINCT"
    #: The share of the observations for which `of` holds.
    RATIO = "RATIO"
    #: At an observation for which `then` holds: how many for which `first` holds came before it.
    SEQUENCE = "SEQUENCE"


Scalar = str | int | float | bool | None


class Condition(Struct, frozen=True, forbid_unknown_fields=True):
    """A comparison of one field."""

    field: Annotated[str, Meta(min_length=1, max_length=64)]
    operator: Operator
    value: Scalar | list[Scalar]

    def __post_init__(self) -> None:
        check_condition(self)


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule: when an alert is raised."""

    id: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,62}$", max_length=63)]
    name: Annotated[str, Meta(min_length=1, max_length=128)]
    severity: Severity
    state: RuleState = RuleState.ACTIVE
    on: Annotated[list[EventType], Meta(min_length=1)]
    where: list[Condition] = []
    group_by: Annotated[list[GroupField], Meta(min_length=1)]
    function: Function
    field: str | None = None
    of: list[Condition] | None = None
    first: list[Condition] | None = None
    then: list[Condition] | None = None
    operator: Operator
    #: A decimal: of `field` for SUM, AVG, MIN and MAX, a share of 1 for RATIO, else a number.
    limit: int | float | str
    window_seconds: Annotated[int, Meta(ge=1, le=7 * 24 * 3600)]
    cooldown_seconds: Annotated[int, Meta(ge=0, le=7 * 24 * 3600)] = 0
    #: With fewer observations in the window, the rule does not hold: a share of one is no share.
    minimum_count: Annotated[int, Meta(ge=1, le=1_000_000)] = 1

    def __post_init__(self) -> None:
        check_rule(self)
