"""Gaps: the times of a window that no stored count covers. A statement looks at a few at once."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, and_, bindparam, or_

#: Begin and end of a gap; the end is not part of it, and None means no end.
Gap = tuple[datetime, datetime | None]
#: How many gaps one statement looks at. Mostly there are two: at the start and at the end of a
#: window.
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
    """The part of a gap from a moment on, and the part before that moment."""
    begin, end = gap
    if begin >= at:
        return [gap], []
    if end is not None and end <= at:
        return [], [gap]
    return joined([(at, end)]), [(begin, at)]


def within_gaps(column: Column[Any], names: tuple[str, str]) -> ColumnElement[bool]:
    """The condition that a value lies in one of the gaps of a statement.

    Args:
        column: the column that is compared.
        names: the names of the parameters for the begin and the end of a gap.
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
    """The parameters of each statement; the last statement may have an empty gap."""
    for start in range(0, len(gaps), _AT_ONCE):
        some = list(gaps[start : start + _AT_ONCE])
        some += [(some[0][0], some[0][0])] * (_AT_ONCE - len(some))
        yield {
            f"{name}_{number}": value
            for number, gap in enumerate(some)
            for name, value in zip(names, gap, strict=True)
        }
