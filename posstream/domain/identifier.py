"""Normalises what a till scans, by its syntax (contract, "Identifiers"). Pure.

An identifier is the cache key, the single-flight key and a path segment of the directory's
URL, so `is_normal` holds for each one that leaves this module.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from posstream.domain.payment_card import holds_payment_card, mask

#: E.164: an international number has at most 15 digits.
MAX_PHONE_DIGITS: Final = 15
MAX_EMAIL: Final = 254
#: Longest scan that is read, before anything is dropped from it.
_MAX_SCANNED: Final = 1024

#: What a normalised phone or card looks like.
_PLAIN: Final = re.compile(r"[A-Z0-9a-z+@._-]{1,128}")
_ATOM: Final = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
#: A dot-atom (RFC 5322) and an ASCII host name, in lower case.
_EMAIL: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*")
#: What a normalised identifier may start with.
PREFIX: Final = re.compile(rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~@.-]{{1,{MAX_EMAIL}}}")
#: Removes what people write between the digits of a phone.
PHONE_NOISE: Final = str.maketrans("", "", " ().-/")
_CARD_NOISE: Final = str.maketrans("", "", " -")
_PHONE: Final = re.compile(r"(\+|00)?([0-9]+)")
#: `+49 (0) 30`: the trunk prefix that is not dialled from abroad.
_TRUNK_IN_PARENTHESES: Final = re.compile(r"\A(\(? *(?:\+|00)[0-9 ().\-/]*?)\( *0 *\)")
#: A national number with its trunk prefix.
_NATIONAL: Final = re.compile(r"0[1-9]")
#: Dashes of Unicode that are no dash punctuation (Pd): swung, superscript, subscript, minus.
_DASHES: Final = frozenset("\u2053\u207b\u208b\u2212")
#: Scans that are normal as they are, and too short or too mixed for a payment-card number: most
#: of them.
_NORMAL: Final = (
    r"(?P<PHONE>\+[0-9]{1,15}|(?!%s)[0-9]{1,12})"
    # At most 12 digits in all: no payment card.
    r"|(?=.{1,64}\Z)(?!(?>[^0-9]*+[0-9]){13})(?:"
    r"(?P<EMAIL>[a-z0-9+_-]+(?:\.[a-z0-9+_-]+)*@[a-z0-9]+(?:[.-][a-z0-9]+)*)"
    r"|(?P<CARD>[0-9_]*[A-Z][A-Z0-9_]*))"
)
NORMAL: Final = re.compile(_NORMAL % "00").fullmatch
#: `NORMAL` while a country code replaces the trunk 0 of national numbers.
_NORMAL_WITH_COUNTRY_CODE: Final = re.compile(_NORMAL % "0").fullmatch


class IdentifierKind(StrEnum):
    """How the customer was identified."""

    PHONE = "PHONE"
    EMAIL = "EMAIL"
    CARD = "CARD"


#: By the name of the group that matched.
_KINDS: Final = {kind.value: kind for kind in IdentifierKind}


@dataclass(slots=True)  # not frozen: a frozen one takes four times as long to make
class Identifier:
    """A normalised identifier: `value` is ASCII, and `is_normal`."""

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


def is_normal(text: str) -> bool:
    """Whether a text looks like a normalised identifier, whatever its kind."""
    if text in {".", ".."}:
        return False
    return bool(_PLAIN.fullmatch(text)) or (len(text) <= MAX_EMAIL and bool(_EMAIL.fullmatch(text)))


def normal_for(country_code: str | None) -> Callable[[str], re.Match[str] | None]:
    """Matches the scans that are normal as they are; the group that matched names the kind."""
    return _NORMAL_WITH_COUNTRY_CODE if country_code else NORMAL


def known(value: str) -> Identifier | None:
    """The identifier with this normalised value; a card's may look like a scan of another kind."""
    for kind in (None, IdentifierKind.CARD):
        found = normalise(value, card_guard=False, kind=kind)
        if isinstance(found, Identifier) and found.value == value:
            return found
    return None


def normalise(
    scanned: str,
    *,
    card_guard: bool = True,
    kind: IdentifierKind | None = None,
    country_code: str | None = None,
) -> Identifier | InvalidIdentifier:
    """Normalise one scan.

    Args:
        scanned: the text as the till sent it, of any length.
        card_guard: refuse payment-card numbers (a setting for shops whose own cards collide).
        kind: read it as this kind and no other; None: by its syntax.
        country_code: its digits replace the trunk 0 of a national phone number; None: the number
            stays as it is.
    """
    normal = normal_for(country_code)(scanned)
    if normal is not None and kind in {None, normal.lastgroup}:
        return Identifier(scanned, _KINDS[normal.lastgroup or ""])
    if len(scanned) > _MAX_SCANNED and len(scanned := scanned.strip()) > _MAX_SCANNED:
        return InvalidIdentifier(mask(scanned), f"it is longer than {_MAX_SCANNED} characters")
    text = _folded(scanned)
    if card_guard and holds_payment_card(text):
        return InvalidIdentifier(mask(text), "it holds a payment-card number")
    if not text.isascii():
        return InvalidIdentifier(mask(text), "it has characters outside ASCII")
    found = _read(text, kind, country_code)
    return InvalidIdentifier(mask(text), found) if isinstance(found, str) else found


def _folded(scanned: str) -> str:
    if scanned.isascii():
        return scanned.strip()
    return "".join(map(_fold, scanned)).strip()


def _fold(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cf":
        return ""
    if category == "Zs":
        return " "
    if category == "Pd" or character in _DASHES:
        return "-"
    return str(unicodedata.decimal(character, character))


def _read(text: str, kind: IdentifierKind | None, country_code: str | None) -> Identifier | str:
    """The identifier in a folded text, or why there is none."""
    if kind is IdentifierKind.EMAIL or (kind is None and "@" in text):
        return _email(text)
    if kind is not IdentifierKind.CARD:
        phone = _PHONE.fullmatch(_TRUNK_IN_PARENTHESES.sub(r"\1", text).translate(PHONE_NOISE))
        if phone is None and kind is IdentifierKind.PHONE:
            return "it is no phone number: digits, maybe behind + or 00"
        if phone is not None:
            prefix, digits = phone.groups()
            if prefix is not None or kind is not None or len(digits) <= MAX_PHONE_DIGITS:
                return _phone(prefix, digits, country_code)
    value = text.translate(_CARD_NOISE).upper()
    if not _PLAIN.fullmatch(value) or value in {".", ".."}:
        return "it is not 1 to 128 letters, digits or + @ . _ - once spaces are removed"
    return Identifier(value, IdentifierKind.CARD)


def _phone(prefix: str | None, digits: str, country_code: str | None) -> Identifier | str:
    if prefix is None and country_code and _NATIONAL.match(digits):
        prefix, digits = "+", country_code + digits[1:]
    if len(digits) > MAX_PHONE_DIGITS:
        return f"a phone number has at most {MAX_PHONE_DIGITS} digits"
    return Identifier(digits if prefix is None else f"+{digits}", IdentifierKind.PHONE)


def _email(text: str) -> Identifier | str:
    value = text.lower()
    if len(value) > MAX_EMAIL or not _EMAIL.fullmatch(value):
        return f"it is no e-mail address of at most {MAX_EMAIL} characters"
    return Identifier(value, IdentifierKind.EMAIL)
