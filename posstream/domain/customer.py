"""A customer of the retailer, and the checks of a customer's fields. Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, Final

from posstream.domain.payment_card import folded, mask_payment_cards, may_hold_payment_card
from posstream.domain.times import iso_utc, parse_utc
from posstream.json.sent_number import SentNumber

#: The tiers of the contract. Another value is kept as it is: the directory knows better.
TIERS: Final = ("BRONZE", "SILVER", "GOLD", "PLATINUM")
#: Longest text that we keep of one field; SQL columns are made for it.
MAX_TEXT: Final = 256
_MAX_INT: Final = 2**63 - 1
_MAX_PURCHASES: Final = Decimal(10) ** 13
#: Digits before the point; longer numbers are not calculated with.
_MAX_DIGITS: Final = 20
_TEXTS: Final = ("first_name", "last_name", "email", "phone", "tier")
#: The beginnings of placeholder dates in databases and languages without null: they mean "no
#: date". PHP makes the second one from month 0 of year 0.
_ZERO_DATES: Final = ("0001-01-01", "-0001-11-30")
#: A date of these characters alone means "no date", whatever its format.
_ZEROS: Final = "0-/.:TZ+ "
#: The bytes of printable text in UTF-8 and of JSON's blanks, but not those that begin an escape.
_PLAIN: Final = bytes({*b"\n\r\t", *range(ord(" "), 0x7F), *range(0x80, 0x100)} - {*b"\\%&"})
_EXPONENT: Final = re.compile(rb"[0-9][eE][-+]?[0-9]")
#: The contract's fields of a customer; each other field that a directory returns is an attribute.
CUSTOMER_FIELDS: Final = (
    "customer_id",
    "first_name",
    "last_name",
    "email",
    "phone",
    "loyalty_points",
    "tier",
    "total_purchases",
    "last_purchase_date",
)


@dataclass(slots=True)  # not frozen: each miss makes one, and a frozen one takes longer
class Customer:
    """One customer of the retailer. Nothing changes it afterwards."""

    customer_id: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    phone: str = ""
    loyalty_points: int = 0
    tier: str = ""
    #: Money with two places, in the retailer's own currency.
    total_purchases: Decimal = Decimal("0.00")
    last_purchase_date: datetime | None = None
    #: Every other field that the directory returned.
    attributes: Mapping[str, Any] = field(default_factory=dict)
    #: Fields of this class whose value had a wrong type or was out of range; `attributes` has it.
    odd_fields: tuple[str, ...] = ()

    def as_document(self) -> dict[str, Any]:
        """The `customer` object of the contract, ready for JSON."""
        return {
            "customer_id": self.customer_id,
            "first_name": self.first_name,
            "last_name": self.last_name,
            "email": self.email,
            "phone": self.phone,
            "loyalty_points": self.loyalty_points,
            "tier": self.tier,
            "total_purchases": str(self.total_purchases),
            "last_purchase_date": iso_utc(self.last_purchase_date),
            "attributes": dict(self.attributes),
        }


@dataclass(frozen=True, slots=True)
class InvalidCustomer:
    """A description of a customer that is refused; `why` names the field."""

    why: str


def read_customer(document: object, *, card_guard: bool = True) -> Customer | InvalidCustomer:
    """Read a customer from one of our topics; a field of a wrong type is refused by its name.

    Args:
        document: the decoded JSON body (any JSON value).
        card_guard: mask payment-card numbers, and refuse one for a `customer_id`.
    """
    if not isinstance(document, Mapping):
        return InvalidCustomer("the body is not a JSON object")
    clean = scrub(document, card_guard=card_guard)
    return judge_fields(
        document.get("customer_id"),
        clean,
        {name: value for name, value in clean.items() if name not in CUSTOMER_FIELDS},
        card_guard=card_guard,
        strict=True,
    )


def judge_fields(
    customer_id: object,
    fields: Mapping[str, Any],
    attributes: Mapping[str, Any],
    *,
    card_guard: bool = True,
    strict: bool = False,
) -> Customer | InvalidCustomer:
    """Judge the fields of a customer.

    Args:
        customer_id: as it came, not scrubbed: two customers could have the same masked id.
        fields: the other fields of the contract, scrubbed; other names are ignored.
        attributes: everything else, scrubbed.
        card_guard: refuse a payment-card number for a `customer_id`.
        strict: refuse a field of a wrong type or out of range; only null counts as absent.

    An absent field takes its empty value. So does a field of a wrong type or out of range, whose
    value is kept under `attributes`: one odd field is no reason to refuse a customer.
    """
    identity = read_customer_id(customer_id)
    if identity is None:
        return InvalidCustomer("customer_id is missing, empty or no text")
    if card_guard and mask_payment_cards(identity) != identity:
        return InvalidCustomer("customer_id is a payment-card number")
    values: dict[str, Any] = {}
    odd: dict[str, Any] = {}
    for name, read in _READERS.items():
        raw = fields.get(name)
        if (
            type(raw) is str
            and read is _text
            and len(raw) <= MAX_TEXT
            and not raw.isspace()
            and raw
        ):
            values[name] = raw  # most fields
            continue
        if raw is None or (not strict and _is_absent(raw, of_date=read is parse_utc)):
            continue
        value = read(raw)
        if value is not None:
            values[name] = value
        elif strict:
            return InvalidCustomer(f"{name} has the wrong type or is out of range")
        else:
            odd[name] = raw
    return Customer(identity, **values, attributes={**odd, **attributes}, odd_fields=tuple(odd))


def read_customer_id(raw: object) -> str | None:
    """An id of the directory as it is kept; None if it is empty, too long or no text."""
    return (_text(raw) or "").replace("\0", "").strip() or None


def needs_no_scrub(text: bytes) -> bool:
    """Whether `scrub` would surely change nothing in a JSON text; a quick look.

    Most answers are such: without an escape, which could hide a NUL or a digit; without an
    exponent, which stands for digits; and with too few digits between any two letters for a
    payment card.
    """
    if text.translate(None, _PLAIN) or _EXPONENT.search(text):
        return False
    return not may_hold_payment_card(text if text.isascii() else folded(text.decode()))


def scrub(value: Any, *, card_guard: bool = True) -> Any:
    """A JSON value without NUL characters (PostgreSQL has none) and payment-card numbers."""
    if isinstance(value, str):
        text = value.replace("\0", "")
        return mask_payment_cards(text) if card_guard else text
    if isinstance(value, Mapping):
        return {
            str(scrub(key, card_guard=card_guard)): scrub(item, card_guard=card_guard)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [scrub(item, card_guard=card_guard) for item in value]
    if card_guard and isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return _scrub_number(value)
    return value


def _scrub_number(value: float | Decimal) -> Any:
    """A number as it came, or masked as text if a card number is before or behind its point.

    The point is no separator: `36.400000000000006` would be a card number in one case of ten.
    """
    sent = str(value)
    number = Decimal(sent)
    if not number.is_finite():
        return value
    texts = [sent]
    if abs(number.adjusted()) < _MAX_DIGITS:  # written out, 1e999999 has a million digits
        texts = [str(int(number)) if _is_whole(number) else f"{number:f}", sent]
    for text in texts:
        parts = text.split(".")
        masked = [mask_payment_cards(part) for part in parts]
        if masked != parts:
            return ".".join(masked)
    return value


def _is_absent(raw: object, *, of_date: bool) -> bool:
    """Whether a value means "no value", as PHP, MySQL, .NET and others write that."""
    if of_date and isinstance(raw, int | str):
        text = str(raw).strip()
        return raw is False or not text.strip(_ZEROS) or text.startswith(_ZERO_DATES)
    if isinstance(raw, str):
        return not raw.strip()
    return raw is False or raw in ([], {})


def _is_whole(number: Decimal) -> bool:
    return number.adjusted() < _MAX_DIGITS and number == int(number)


def _text(raw: object) -> str | None:
    if isinstance(raw, int | SentNumber) and not isinstance(raw, bool):
        text = str(raw)  # ids and phones are often numbers in such APIs
        raw = text if text.removeprefix("-").isdecimal() else None
    return raw if isinstance(raw, str) and len(raw) <= MAX_TEXT else None


def _points(raw: object) -> int | None:
    if type(raw) is int and abs(raw) <= _MAX_INT:
        return raw
    number = _number(raw)
    if number is None or not _is_whole(number) or abs(number) > _MAX_INT:
        return None
    return int(number)


def _money(raw: object) -> Decimal | None:
    amount = _number(raw)
    if amount is None:
        return None
    rounded = amount.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
    return rounded if abs(rounded) < _MAX_PURCHASES else None


def _number(raw: object) -> Decimal | None:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str | SentNumber):
        return None
    try:
        number = Decimal(str(raw))
    except InvalidOperation:
        return None
    return number if number.is_finite() and number.adjusted() < _MAX_DIGITS else None


#: Optional field -> its reader, which returns None for a value that it cannot use.
_READERS: Final[Mapping[str, Callable[[object], object]]] = dict.fromkeys(_TEXTS, _text) | {
    "loyalty_points": _points,
    "total_purchases": _money,
    "last_purchase_date": parse_utc,
}
