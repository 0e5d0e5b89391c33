"""Masks a customer's identifier, phone or e-mail for people who need not know it. Pure."""

import re
from typing import Final

from posstream.domain.identifier import PHONE_NOISE, Identifier, IdentifierKind, normalise

_HEAD: Final = 2
_TAIL: Final = 3
#: A phone with its country code or trunk prefix, and without separators. Digits alone, and digits
#: padded with zeros, are more often the number of a record.
_PHONE: Final = re.compile(r"(?:\+|00?[1-9])[0-9]{6,}")


def is_personal(customer_id: str) -> bool:
    """Whether a directory's id of a customer is an e-mail address or a phone."""
    found = normalise(customer_id, card_guard=False)
    if not isinstance(found, Identifier):
        return False
    if found.kind is IdentifierKind.PHONE:
        digits = customer_id.strip().translate(PHONE_NOISE)
        # Digits of other scripts and invisible characters mean a phone, not a record's number.
        return not digits.isascii() or _PHONE.fullmatch(digits) is not None
    return found.kind is IdentifierKind.EMAIL


def mask_identifier(text: str) -> str:
    """`text` as pages show it: `+1******890` for `+1234567890`.

    At most its first 2 and last 3 characters are visible, at most half of it in all; the
    result does not tell its length. The form for logs is `posstream.domain.payment_card.mask`,
    which shows the digits of a card number that PCI DSS allows.
    """
    if not text:
        return text
    head = min(_HEAD, len(text) // 4)
    tail = min(_TAIL, len(text) // 2 - head)
    return text[:head] + "******" + (text[-tail:] if tail else "")
