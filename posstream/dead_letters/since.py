"""What the options of `posstream dlq` mean. No I/O."""

import re
from datetime import timedelta
from typing import Final

from posstream.domain.times import parse_utc, to_ms

_DURATION: Final = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_since(text: str, now_ms: int) -> int | None:
    """Read a moment, in milliseconds since 1970: ISO-8601, or how long ago, like `90s` or `2h`.

    Returns:
        None if it is neither.
    """
    ago = _DURATION.fullmatch(text)
    if ago is not None:
        length = timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return now_ms - length // timedelta(milliseconds=1)
    moment = parse_utc(text)
    return None if moment is None else to_ms(moment)
