"""Which of the known customers an event asks for; it follows from the number of the event."""

import zlib


def asked_for(number: int, customers: int) -> int:
    """Whose identifier the event of a number carries: in random order, always the same one."""
    return zlib.crc32(b"%d" % number) % customers


def asked_for_most(number: int, customers: int) -> int:
    """The customer of an event by Zipf's law: the tenth comes a tenth as often as the first.

    The exponent is 1. The share of a rank is the integral of 1/x around it.
    """
    share = zlib.crc32(b"%d" % number) / 2**32
    rank = int((2 * customers + 1) ** share / 2 + 0.5)
    return min(max(rank, 1), customers) - 1
