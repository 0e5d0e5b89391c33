"""Gaps of time between what is counted, some of them for each statement."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, and_, bindparam, or_

#: From one moment up to but not including another; None = without an end.
Gap = tuple[datetime, datetime | None]
#: How many gaps one statement looks at: mostly there is one where a window begins, and one at its
#: end.
_AT_ONCE: Final = 2


def joined(gaps: Iterable[Gap]) -> list[Gap]:
    """The gaps that are not empty, in their order; neighbours become one."""
    found: list[Gap] = []
    for begin, end in sorted((it for it in gaps if it[0] != it[1]), key=lambda it: it[0]):
        if found and found[-1][1] == begin:
            found[-1] = found[-1][0], end
        else:
            found.append((begin, end))
    return found


def parted(gap: Gap, at: datetime) -> tuple[list[Gap], list[Gap]]:
    """What of a gap comes from a moment on, and what comes before it."""
    begin, end = gap
    if begin >= at:
        return [gap], []
    if end is not None and end <= at:
        return [], [gap]
    return joined([(at, end)]), [(begin, at)]


def within_gaps(column: Column[Any], names: tuple[str, str]) -> ColumnElement[bool]:
    """The condition that a value lies in one of the gaps of a statement.

    Args:
        column: what is compared.
        names: how the values of a gap's begin and end are called.
    """
    begin, end = names
    return or_(
        *(
            and_(
                column >= bindparam(f"{begin}_{number}", type_=column.type),
                column < bindparam(f"{end}_{number}", type_=column.type),
            )
            for number in range(_AT_ONCE)
        )
    )


def statements(
    gaps: Sequence[tuple[Any, Any]], names: tuple[str, str]
) -> Iterator[Mapping[str, Any]]:
    """The values of each statement; the last one may have an empty gap."""
    for start in range(0, len(gaps), _AT_ONCE):
        some = list(gaps[start : start + _AT_ONCE])
        some += [(some[0][0], some[0][0])] * (_AT_ONCE - len(some))
        yield {
            f"{name}_{number}": value
            for number, gap in enumerate(some)
            for name, value in zip(names, gap, strict=True)
        }
