"""The payment-card guard: find and mask card numbers (PANs). Pure text work.

One definition for what is refused and for what is masked (contract, "Payment cards"): groups of
digits with anything between them that is neither letter nor digit, Luhn-valid, of a prefix and
length of a network. A text is read as it stands, and with its escapes decoded. Networks, prefixes
and lengths are the contract's; the check digit is Luhn's (ISO/IEC 7812-1 annex B); first six and
last four digits may stay visible (PCI DSS 3.4.1).
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, zip_longest
from typing import Final

from posstream.domain.escapes import Reading, has_escapes, readings

#: (first prefix, last prefix, allowed lengths) of each payment network.
_NETWORKS: Final = (
    (b"4", b"4", frozenset({13, 16, 19})),  # Visa
    (b"51", b"55", frozenset({16})),  # Mastercard
    (b"2221", b"2720", frozenset({16})),  # Mastercard, second range
    (b"34", b"34", frozenset({15})),  # American Express
    (b"37", b"37", frozenset({15})),
    (b"300", b"305", frozenset(range(14, 20))),  # Diners Club
    (b"36", b"36", frozenset(range(14, 20))),
    (b"38", b"39", frozenset(range(14, 20))),
    (b"6011", b"6011", frozenset(range(16, 20))),  # Discover
    (b"644", b"649", frozenset(range(16, 20))),
    (b"65", b"65", frozenset(range(16, 20))),
    (b"3528", b"3589", frozenset(range(16, 20))),  # JCB
    (b"62", b"62", frozenset(range(16, 20))),  # UnionPay
)
_MIN_DIGITS: Final = 13
#: Which lengths a number with this first digit may have: few groups need a closer look.
_LENGTHS: Final = {
    digit: sorted(
        {n for first, last, lengths in _NETWORKS for n in lengths if first[0] <= digit <= last[0]}
    )
    for digit in b"23456"
}
_ZERO: Final = ord("0")
#: Characters with a higher code are rare: a cache of them would only take memory.
_MOST_REMEMBERED: Final = 0xFFFF
#: Each digit of a Luhn sum's doubled places: 2n, less 9 if that has two digits.
_DOUBLED: Final = bytes.maketrans(b"0123456789", b"0246813579")

_LETTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHAPE: Final = bytes.maketrans(b"123456789", b"0" * 9)
_SEPARATORS: Final = bytes(set(range(128)) - set(b"0123456789" + _LETTERS))
_SHORTEST: Final = b"0" * _MIN_DIGITS
#: From a digit up to the next letter: every card number lies within one of these.
_STRETCH: Final = re.compile(rb"[0-9][^A-Za-z]*")
_GROUP: Final = re.compile(rb"[0-9]+")
#: Digits that are no card number, whatever they look like: those of a UUID (RFC 9562; of 3,000
#: random ones, one would pass for a card) and of a text that is a phone in international form.
_NO_CARD: Final = re.compile(
    rb"(?<![0-9A-Za-z])(?=[0-9-]*[A-Fa-f])"
    rb"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[1-8][0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12}"
    rb"(?![0-9A-Za-z])"
    rb'|(?:\A|(?<="))[ ().\-/]*(?:\+|0[ ().\-/]*0)(?:[ ().\-/]*[0-9]){1,15}[ ().\-/]*(?:\Z|(?="))'
)
#: How often a text is searched: one card number, once masked, can uncover another beside it.
_MOST_PASSES: Final = 4


class _Folding(dict[int, str]):
    """Unicode -> ASCII, sign by sign: digits of all scripts, `x` for a letter, else a blank."""

    def __missing__(self, code: int) -> str:
        sign = chr(code)
        digit = unicodedata.digit(sign, None)
        if code < 128:  # noqa: PLR2004 - ASCII
            folded = sign
        elif digit is not None:
            folded = str(digit)
        else:
            folded = "x" if sign.isalpha() else " "
        if code <= _MOST_REMEMBERED:
            self[code] = folded
        return folded


_FOLDING: Final = _Folding()

#: A card number in a text: the places of its digits.
_Card = Sequence[int]


def folded(text: str) -> bytes:
    """A text in ASCII, sign by sign: digits of all scripts, `x` for a letter, else a blank."""
    return text.encode() if text.isascii() else text.translate(_FOLDING).encode()


def may_hold_payment_card(ascii_text: bytes) -> bool:
    """Whether enough digits stand between two letters. Cheap, because every event is checked."""
    # The count is the cheaper half, and enough for most.
    return ascii_text.translate(_SHAPE).count(
        b"0"
    ) >= _MIN_DIGITS and _SHORTEST in ascii_text.translate(_SHAPE, _SEPARATORS)


def holds_payment_card(text: str) -> bool:
    """Whether there is a payment-card number in a text, or track data of one."""
    if _is_harmless(text):
        return False
    return any(_cards(reading.text) for reading in readings(text))


def holds_payment_card_known(text: str) -> bool:
    """`holds_payment_card` for texts that come again and again, as the ids of tills and baskets.

    Texts without a card number are remembered; one with a card number never stays in memory.
    """
    try:
        _remember_harmless(text)
    except _CardFound:
        return True
    return False


class _CardFound(Exception):
    """There is a card number in a text. An `lru_cache` keeps nothing of a call that raises."""


@lru_cache(maxsize=4096)
def _remember_harmless(text: str) -> None:
    if holds_payment_card(text):
        raise _CardFound


def are_harmless(texts: Iterable[str]) -> bool:
    """True if one quick check of all texts rules out a card number; False proves nothing."""
    # A letter between them: across a blank, digits of two texts would join.
    return _is_harmless("x".join(texts))


def _is_harmless(text: str) -> bool:
    """True if a quick check rules out a card number in a text; False proves nothing."""
    return len(text) < _MIN_DIGITS or (
        text.isascii() and not has_escapes(text) and not may_hold_payment_card(text.encode())
    )


def mask(text: str) -> str:
    """`text` with at most its first 6 and last 4 characters visible, at most half of it in all.

    Characters that do not print become `?`; the result is 6 to 16 characters long.
    """
    head, tail = min(6, len(text) // 4), min(4, len(text) // 4)
    visible = text[:head] + "******" + (text[-tail:] if tail else "")
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in visible)


def mask_payment_cards(text: str) -> str:
    """`text` with each payment-card number in it masked in place, its length unchanged."""
    if _is_harmless(text):
        return text
    for _ in range(_MOST_PASSES):
        hidden = [
            span for reading in readings(text) for span in _hidden(reading, _cards(reading.text))
        ]
        if not hidden:
            break
        characters = list(text)
        for start, end in hidden:
            characters[start:end] = "*" * (end - start)
        text = "".join(characters)
    return text


def mask_payment_cards_in_bytes(raw: bytes) -> bytes:
    """Mask card numbers in bytes: UTF-8, UTF-16, or an encoding with the digits of ASCII."""
    masked = mask_payment_cards(raw.decode(errors="surrogateescape")).encode(
        errors="surrogateescape"
    )
    if masked.isascii() and b"\0" not in masked:
        return masked
    # In UTF-16, ASCII digits are masked by now (a NUL is a separator), and others are not.
    for encoding in ("utf-16-le", "utf-16-be"):
        whole = len(masked) // 2 * 2
        text = masked[:whole].decode(encoding, "surrogatepass")
        masked = mask_payment_cards(text).encode(encoding, "surrogatepass") + masked[whole:]
    return masked


def _hidden(reading: Reading, cards: Sequence[_Card]) -> Iterator[tuple[int, int]]:
    """The spans of the original text whose digits must be masked."""
    for card in cards:
        for place in card[6:-4]:
            yield reading.starts[place], reading.ends[place]


def _cards(text: str) -> list[_Card]:
    signs = folded(text)
    if not may_hold_payment_card(signs):
        return []
    found = list(_cards_in(signs))
    if found:
        others, count = _NO_CARD.subn(lambda other: b"x" * len(other.group()), signs)
        found = list(_cards_in(others)) if count else found
    return found


def _cards_in(folded: bytes) -> Iterator[_Card]:
    for stretch in _STRETCH.finditer(folded):
        groups = [group.span() for group in _GROUP.finditer(folded, *stretch.span())]
        places = [place for start, end in groups for place in range(start, end)]
        if len(places) >= _MIN_DIGITS:
            yield from _cards_among(bytes(folded[place] for place in places), groups, places)


def _cards_among(
    digits: bytes, groups: Sequence[tuple[int, int]], places: Sequence[int]
) -> Iterator[_Card]:
    """The card numbers in a row of groups; one never starts or ends inside a group.

    Any window of digits would do too much: one long order number in three holds a valid one.
    """
    ends = list(accumulate(end - start for start, end in groups))
    doubled = digits.translate(_DOUBLED)
    # Luhn sums up to each place, the even places doubled or the odd ones: linear in all.
    sums = [
        [0, *accumulate(digit - _ZERO for pair in pairs for digit in pair)]
        for pairs in (
            zip_longest(doubled[::2], digits[1::2], fillvalue=_ZERO),
            zip_longest(digits[::2], doubled[1::2], fillvalue=_ZERO),
        )
    ]
    known = frozenset(ends)
    for start in (0, *ends[:-1]):
        for length in _LENGTHS.get(digits[start], ()):
            end = start + length
            if (
                end in known
                and (sums[end % 2][end] - sums[end % 2][start]) % 10 == 0
                and _is_of_a_network(digits[start:end])
            ):
                yield places[start:end]


def _is_of_a_network(digits: bytes) -> bool:
    return any(
        len(digits) in lengths and first <= digits[: len(first)] <= last
        for first, last, lengths in _NETWORKS
    )
