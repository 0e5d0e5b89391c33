"""Derives keys from access keys slowly (scrypt, RFC 7914), each once in a process."""

import hashlib
from functools import cache


@cache
def slow_key(secret: bytes, *, purpose: bytes, length: int) -> bytes:
    """A key of `length` bytes for one purpose.

    What is signed or sealed with it must be no way to try out access keys offline: a guess costs
    16 MiB and some 50 ms.
    """
    return hashlib.scrypt(secret, salt=purpose, n=2**14, r=8, p=1, dklen=length)
