"""A list as a CSV file (RFC 4180), written while it is read: no worker holds it whole."""

import csv
import io
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

from aiohttp import hdrs, web

from posstream.domain.times import iso_utc
from web.access.reveals import Reveals
from web.http.answers import new_reference

logger = logging.getLogger(__name__)

Row = TypeVar("Row")
#: The columns of a file: name, and the value of a row as its reader may see it.
Columns = Sequence[tuple[str, Callable[[Row, Reveals], Any]]]

#: A spreadsheet takes a cell that starts with one of these for a formula (OWASP, CSV injection).
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


async def csv_file(
    request: web.Request,
    name: str,
    columns: Columns[Row],
    batches: AsyncIterator[Sequence[Row]],
    reveals: Reveals,
) -> web.StreamResponse:
    """A line of names, and a line for each row.

    Args:
        request: what is answered.
        name: of the file.
        columns: of the file.
        batches: the rows.
        reveals: what identifiers are shown with.
    """
    # The first batch before the first byte: without a database there is an error and no file.
    first = await anext(batches, ())
    response = web.StreamResponse(
        headers={
            hdrs.CONTENT_TYPE: "text/csv; charset=utf-8; header=present",
            hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}"',
        }
    )
    await response.prepare(request)
    try:
        await response.write(_lines([[title for title, _ in columns]]))
        await response.write(_lines(_cells(row, columns, reveals) for row in first))
        async for rows in batches:
            await response.write(_lines(_cells(row, columns, reveals) for row in rows))
        await response.write_eof()
    except ConnectionError:
        pass  # the client has gone
    except Exception:
        # Without its proper end a client knows that the file is not whole (RFC 9112, 8).
        logger.exception("a CSV was cut off, reference %s", new_reference())
        if request.transport is not None:
            request.transport.abort()
    finally:
        reveals.log(f"the file {name}")
    return response


def _cells(row: Row, columns: Columns[Row], reveals: Reveals) -> list[Any]:
    return [_cell(value_of(row, reveals)) for _, value_of in columns]


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso_utc(value)
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return "'" + value
    return value


def _lines(rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
