"""The payment-card guard: find and mask card numbers (PANs). Pure text work.

Networks, prefixes and lengths are the contract's; the check digit is Luhn's (ISO/IEC 7812-1
annex B); first six and last four digits may stay visible (PCI DSS 3.4.1).
"""

import re
from typing import Final

#: (first prefix, last prefix, allowed lengths) of each payment network.
_NETWORKS: Final = (
    ("4", "4", frozenset({13, 16, 19})),  # Visa
    ("51", "55", frozenset({16})),  # Mastercard
    ("2221", "2720", frozenset({16})),  # Mastercard, second range
    ("34", "34", frozenset({15})),  # American Express
    ("37", "37", frozenset({15})),
    ("300", "305", frozenset(range(14, 20))),  # Diners Club
    ("36", "36", frozenset(range(14, 20))),
    ("38", "39", frozenset(range(14, 20))),
    ("6011", "6011", frozenset(range(16, 20))),  # Discover
    ("644", "649", frozenset(range(16, 20))),
    ("65", "65", frozenset(range(16, 20))),
    ("3528", "3589", frozenset(range(16, 20))),  # JCB
    ("62", "62", frozenset(range(16, 20))),  # UnionPay
)
_MIN_DIGITS: Final = 13
_MAX_DIGITS: Final = 19

_SEPARATORS: Final = re.compile(r"[^0-9A-Za-z@]")
#: A run of digits, alone or in groups divided by spaces and dashes.
_RUN: Final = re.compile(r"(?<![0-9+])[0-9](?:[ -]*[0-9]){12,}")
_GROUP: Final = re.compile(r"[0-9]+")
_RUN_BYTES: Final = re.compile(_RUN.pattern.encode())


def luhn_valid(digits: str) -> bool:
    """Whether a run of ASCII digits carries the right Luhn check digit."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit)
        if place % 2:
            value = value * 2 - 9 if value > 4 else value * 2  # noqa: PLR2004
        total += value
    return total % 10 == 0


def is_payment_card(text: str) -> bool:
    """Whether an identifier as scanned is a payment-card number.

    Wider than the contract in one way, on purpose: any punctuation is taken for a separator,
    so that `4111.1111.1111.1111` does not slip past as a loyalty card.
    """
    text = text.strip()
    if text.startswith(("+", "00")):
        return False
    return _is_card_number(_SEPARATORS.sub("", text))


def mask(text: str) -> str:
    """`text` with at most its first 6 and last 4 characters visible, at most half of it in all.

    Characters that do not print become `?`; the result is 6 to 16 characters long.
    """
    head, tail = min(6, len(text) // 4), min(4, len(text) // 4)
    visible = text[:head] + "******" + (text[-tail:] if tail else "")
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in visible)


def mask_payment_cards(text: str) -> str:
    """`text` with each payment-card number in it masked in place, its length unchanged."""
    return _RUN.sub(lambda run: _mask_run(run.group()), text)


def mask_payment_cards_in_bytes(raw: bytes) -> bytes:
    """The same for bytes of any encoding that agrees with ASCII on digits."""
    return _RUN_BYTES.sub(lambda run: _mask_run(run.group().decode()).encode(), raw)


def _is_card_number(digits: str) -> bool:
    return (
        _MIN_DIGITS <= len(digits) <= _MAX_DIGITS
        and digits.isascii()
        and digits.isdigit()
        and any(
            len(digits) in lengths and first <= digits[: len(first)] <= last
            for first, last, lengths in _NETWORKS
        )
        and luhn_valid(digits)
    )


def _mask_run(run: str) -> str:
    """Mask the card numbers in a run of digit groups; one never starts or ends inside a group.

    Any window of digits would do too much: one long order number in three holds a valid one.
    """
    groups = list(_GROUP.finditer(run))
    masked = list(run)
    for first, group in enumerate(groups):
        if run[group.start()] not in "23456":  # no network's number starts otherwise
            continue
        digits, last = group.group(), first
        while len(digits) <= _MAX_DIGITS:
            if _is_card_number(digits):
                span = range(group.start(), groups[last].end())
                for place in [place for place in span if run[place].isdigit()][6:-4]:
                    masked[place] = "*"
            last += 1
            if last == len(groups):
                break
            digits += groups[last].group()
    return "".join(masked)
