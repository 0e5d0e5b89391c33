"""How a customer's identifier, phone or e-mail address is shown to people who need not know it."""

from typing import Final

_HEAD: Final = 2
_TAIL: Final = 3


def mask_identifier(text: str) -> str:
    """`text` as pages show it: `+1******890` for `+1234567890`.

    At most its first 2 and last 3 characters are visible, at most half of it in all; nothing
    of it tells how long it is. The form for logs is `posstream.domain.payment_card.mask`, which
    shows of a card number what PCI DSS lets it.
    """
    if not text:
        return text
    head = min(_HEAD, len(text) // 4)
    tail = min(_TAIL, len(text) // 2 - head)
    return text[:head] + "******" + (text[-tail:] if tail else "")
