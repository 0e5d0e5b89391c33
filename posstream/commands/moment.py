"""A moment on the command line: a time, or how long ago."""

import re
from datetime import datetime, timedelta
from typing import Any, Final

import click

from posstream.domain.times import from_ms, parse_utc
from posstream.resilience.clock import Clock

#: At most 273 years, which a time can be in the past.
_LENGTH: Final = re.compile(r"([0-9]{1,6})([smh])|([0-9]{1,5})(d)")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class _Length(click.ParamType):
    """A length of time: `90s`, `30m`, `2h` or `7d`."""

    name = "length"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Read it."""
        if isinstance(value, timedelta):
            return value
        length = _length(value)
        if length is None:
            self.fail("must be like 90s, 30m, 2h or 7d", param, ctx)
        return length


class _Moment(click.ParamType):
    """A time of RFC 3339, or how long ago."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Read it."""
        ago = _length(value)
        moment = parse_utc(value) if ago is None else from_ms(Clock().now_ms()) - ago
        if moment is None:
            self.fail("must be like 2h, 30m or 7d, or a time like 2026-01-31T08:15:00Z", param, ctx)
        return moment


def _length(text: str) -> timedelta | None:
    found = _LENGTH.fullmatch(text)
    if found is None:
        return None
    count, unit = (it for it in found.groups() if it is not None)
    return timedelta(**{_UNITS[unit]: int(count)})


LENGTH: Final = _Length()
MOMENT: Final = _Moment()
