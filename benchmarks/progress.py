"""What a person who waits for a measurement sees, on stderr."""

import sys
import time
from typing import Final

_WIDTH: Final = 24
_EVERY_SECONDS: Final = 0.2


def say(text: str) -> None:
    """One line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


class Bar:
    """One line that grows, on a terminal; nothing elsewhere.

    Args:
        title: what is measured.
        whole: the number that is the end of it.
    """

    def __init__(self, title: str, whole: float) -> None:
        self._title = title
        self._whole = whole
        self._shown = sys.stderr.isatty()
        self._next = 0.0

    def at(self, done: float) -> None:
        """So much of it is done."""
        if not self._shown or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _EVERY_SECONDS
        share = min(1.0, done / self._whole) if self._whole else 1.0
        full = "█" * round(share * _WIDTH)
        line = f"\r\033[K  {full:·<{_WIDTH}} {share:4.0%} {self._title}"
        print(line, end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave an empty line to what comes next."""
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
