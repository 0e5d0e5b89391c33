"""The payment-card guard: find and mask card numbers (PANs). Pure text work.

Networks, prefixes and lengths are the contract's; the check digit is Luhn's (ISO/IEC 7812-1
annex B); first six and last four digits may stay visible (PCI DSS 3.4.1).
"""

import re
from itertools import accumulate
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
#: Which lengths a number with this first digit may have: few runs need a closer look.
_LENGTHS: Final = {
    digit: sorted(
        {n for first, last, lengths in _NETWORKS for n in lengths if first[0] <= digit <= last[0]}
    )
    for digit in "23456"
}
_ZERO: Final = ord("0")
#: Each digit of a Luhn sum's doubled places: 2n, less 9 if that has two digits.
_DOUBLED: Final = bytes.maketrans(b"0123456789", b"0246813579")

_SEPARATORS: Final = re.compile(r"[^0-9A-Za-z@]")
#: A run of digits, alone or in groups divided as people and UTF-16 divide them.
_RUN: Final = re.compile(r"(?<![0-9+])[0-9](?:[ ./\x00\xa0\xc2-]*[0-9]){12,}")
_GROUP: Final = re.compile(r"[0-9]+")
_RUN_BYTES: Final = re.compile(_RUN.pattern.encode("latin-1"))


def luhn_valid(digits: str) -> bool:
    """Whether a run of ASCII digits carries the right Luhn check digit."""
    raw = digits.encode()
    total = sum(raw[-1::-2]) + sum(raw[-2::-2].translate(_DOUBLED)) - _ZERO * len(raw)
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
    return _RUN_BYTES.sub(
        lambda run: _mask_run(run.group().decode("latin-1")).encode("latin-1"), raw
    )


def _is_card_number(digits: str) -> bool:
    return (
        any(
            len(digits) in lengths and first <= digits[: len(first)] <= last
            for first, last, lengths in _NETWORKS
        )
        and digits.isascii()
        and digits.isdigit()
        and luhn_valid(digits)
    )


def _mask_run(run: str) -> str:
    """Mask the card numbers in a run of digit groups; one never starts or ends inside a group.

    Any window of digits would do too much: one long order number in three holds a valid one.
    """
    places = [place for place, character in enumerate(run) if character.isdigit()]
    digits = "".join(run[place] for place in places)
    ends = set(accumulate(len(group) for group in _GROUP.findall(run)))
    masked = list(run)
    for start in (0, *sorted(ends)):
        for length in _LENGTHS.get(digits[start : start + 1], ()):
            if start + length in ends and _is_card_number(digits[start : start + length]):
                for place in places[start + 6 : start + length - 4]:
                    masked[place] = "*"
    return "".join(masked)
