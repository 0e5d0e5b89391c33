"""What a till scans, normalised by syntax (contract, "Identifiers"). Pure.

An identifier is the cache key, the single-flight key and a path segment of the directory's
URL, so nothing leaves this module that does not match `ALLOWED`.
"""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from posstream.domain.payment_card import is_payment_card, mask

#: What a normalised identifier looks like; `.` and `..` are refused besides (path segments).
ALLOWED: Final = re.compile(r"[A-Z0-9a-z+@._-]{1,128}")
#: E.164: an international number has at most 15 digits.
MAX_PHONE_DIGITS: Final = 15

_PHONE_NOISE: Final = str.maketrans("", "", " ().-")
_CARD_NOISE: Final = str.maketrans("", "", " -")
_PHONE: Final = re.compile(r"(\+|00)?([0-9]+)")
#: Scans that are normal as they are, and too short or too mixed for a payment-card number: most
#: of them. The group that matched names the kind.
NORMAL: Final = re.compile(
    r"(?P<PHONE>\+[0-9]{1,15}|(?!00)[0-9]{1,12})"
    r"|(?=.{1,128}\Z)(?:(?P<EMAIL>[a-z0-9+._-]*@[a-z0-9+@._-]*)"
    r"|(?P<CARD>[0-9_]*[A-Z][A-Z0-9_]*))"
)


class IdentifierKind(StrEnum):
    """How the customer was identified."""

    PHONE = "PHONE"
    EMAIL = "EMAIL"
    CARD = "CARD"


#: By the name of the group that matched.
_KINDS: Final = {kind.value: kind for kind in IdentifierKind}


@dataclass(slots=True)  # not frozen: see `lookup.Identification`
class Identifier:
    """A normalised identifier: `value` is ASCII and matches `ALLOWED`."""

    value: str
    kind: IdentifierKind

    @property
    def masked(self) -> str:
        """The form for logs and messages."""
        return mask(self.value)


@dataclass(frozen=True, slots=True)
class InvalidIdentifier:
    """A scan that is no identifier: masked, with a sentence that says why."""

    masked: str
    why: str


def normalise(scanned: str, *, card_guard: bool = True) -> Identifier | InvalidIdentifier:
    """Normalise one scan.

    Args:
        scanned: the text as the till sent it, of any length.
        card_guard: refuse payment-card numbers (a setting for shops whose own cards collide).
    """
    normal = NORMAL.fullmatch(scanned)
    if normal is not None:
        return Identifier(scanned, _KINDS[normal.lastgroup or ""])
    text = "".join(" " if unicodedata.category(c) == "Zs" else c for c in scanned).strip()
    if card_guard and is_payment_card(text):
        return InvalidIdentifier(mask(text), "it is a payment-card number")
    if not text.isascii():
        return InvalidIdentifier(mask(text), "it has characters outside ASCII")
    found = _classify(text)
    if isinstance(found, InvalidIdentifier):
        return found
    if not ALLOWED.fullmatch(found.value) or found.value in {".", ".."}:
        return InvalidIdentifier(
            mask(text), "it is not 1 to 128 letters, digits or + @ . _ - once spaces are removed"
        )
    return found


def _classify(text: str) -> Identifier | InvalidIdentifier:
    if "@" in text:
        return Identifier(text.lower(), IdentifierKind.EMAIL)
    phone = _PHONE.fullmatch(text.translate(_PHONE_NOISE))
    if phone is not None:
        prefix, digits = phone.groups()
        if prefix is None and len(digits) <= MAX_PHONE_DIGITS:
            return Identifier(digits, IdentifierKind.PHONE)
        if prefix is not None:
            if len(digits) > MAX_PHONE_DIGITS:
                return InvalidIdentifier(
                    mask(text), f"a phone number has at most {MAX_PHONE_DIGITS} digits"
                )
            return Identifier("+" + digits, IdentifierKind.PHONE)
    return Identifier(text.translate(_CARD_NOISE).upper(), IdentifierKind.CARD)
