"""Masks what no line of a log may hold: payment cards, phones, e-mail addresses, passwords.

Our own lines mask what they know to be an identifier. The texts of foreign exceptions may hold
others, so every line is searched.
"""

import re
from typing import Final

from posstream.domain.masking import mask_identifier
from posstream.domain.payment_card import mask_payment_cards

#: User and password in a URL; drivers take a password that has an `@`.
_PASSWORD: Final = re.compile(r"(?<=://)[^\s/]+(?=@)")
#: Begins only where the name does, and is bounded: a line may be long, and others wait for it.
_EMAIL: Final = re.compile(
    r"(?<![A-Za-z0-9.!#$&*+^_`|~'-])[A-Za-z0-9.!#$&*+^_`|~'-]{1,256}"
    r"(?:@|%40)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+"
)
#: A phone in international form, also as URLs have it. Digits alone are offsets and times.
_PHONE: Final = re.compile(
    r"(?:(?:\+|%2B)[0-9](?:[ ().-]{0,2}[0-9]){6,14}|(?<![\w.+-])00[1-9][0-9]{6,14})(?![\w-])",
    re.IGNORECASE,
)


def masked(text: str) -> str:
    """`text` without full payment-card numbers, international phones, e-mails and passwords."""
    if "@" in text or "%40" in text:
        text = _PASSWORD.sub("******", text)
        text = _EMAIL.sub(_mask, text)
    return mask_payment_cards(_PHONE.sub(_mask, text))


def _mask(found: re.Match[str]) -> str:
    return mask_identifier(found[0])
