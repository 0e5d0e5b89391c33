"""The list of lookups as CSV (RFC 4180), written while it is read: no worker holds it whole."""

import csv
import io
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Final

from aiohttp import hdrs, web

from agents.customer_lookup.read_model.queries import SqlReadModel
from agents.customer_lookup.read_model.records import AnswerFilter, AnswerRow, Position
from posstream.domain.times import iso_utc
from web.access.reveals import Reveals
from web.http.answers import new_reference

logger = logging.getLogger(__name__)

#: Rows of a file; a narrower filter gets at the rest.
MAX_ROWS: Final = 50_000
#: Rows that are read at a time.
_BATCH: Final = 1_000
#: A spreadsheet takes a cell that starts with one of these for a formula (OWASP, CSV injection).
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
_COLUMNS: Final[Sequence[tuple[str, Callable[[AnswerRow], Any]]]] = (
    ("occurred_at", lambda row: iso_utc(row.occurred_at)),
    ("basket_id", lambda row: row.basket_id),
    ("customer_identifier", lambda row: row.customer_identifier),
    ("identifier_kind", lambda row: row.identifier_kind),
    ("source", lambda row: row.source),
    ("reason", lambda row: row.reason),
    ("customer_id", lambda row: row.customer_id),
    ("attempts", lambda row: row.attempts),
    ("duration_ms", lambda row: row.duration_ms),
    ("age_ms", lambda row: row.age_ms),
    ("identified_at", lambda row: iso_utc(row.identified_at)),
    ("config_version", lambda row: row.config_version),
    ("lookup_id", lambda row: row.lookup_id),
    ("event_id", lambda row: row.event_id),
)
_HEADERS: Final = {
    hdrs.CONTENT_TYPE: "text/csv; charset=utf-8; header=present",
    hdrs.CONTENT_DISPOSITION: 'attachment; filename="lookups.csv"',
}


async def answers_as_csv(
    request: web.Request, read_model: SqlReadModel, wanted: AnswerFilter, reveals: Reveals
) -> web.StreamResponse:
    """The newest answers that are wanted, at most `MAX_ROWS`, with a line of names above.

    Args:
        request: what is answered.
        read_model: to read from, batch by batch.
        wanted: the filter.
        reveals: what identifiers are shown with.
    """
    # The first batch before the first byte: without a database there is an error and no file.
    batches = _batches(read_model, wanted)
    first = await anext(batches, ())
    response = web.StreamResponse(headers=_HEADERS)
    await response.prepare(request)
    try:
        await response.write(_lines([[name for name, _ in _COLUMNS]]))
        await response.write(_lines(_cells(row, reveals) for row in first))
        async for rows in batches:
            await response.write(_lines(_cells(row, reveals) for row in rows))
        await response.write_eof()
    except ConnectionError:
        pass  # the client has gone
    except Exception:
        # Without its proper end a client knows that the file is not whole (RFC 9112, 8).
        logger.exception("a CSV was cut off, reference %s", new_reference())
        if request.transport is not None:
            request.transport.abort()
    finally:
        reveals.log("the file lookups.csv")
    return response


async def _batches(
    read_model: SqlReadModel, wanted: AnswerFilter
) -> AsyncIterator[Sequence[AnswerRow]]:
    place: Position | None = None
    for _ in range(0, MAX_ROWS, _BATCH):
        rows = await read_model.lookup_answers(wanted, first=_BATCH, older_than=place)
        yield rows
        if len(rows) < _BATCH:
            return
        place = Position(rows[-1].occurred_at, rows[-1].event_id)


def _cells(row: AnswerRow, reveals: Reveals) -> list[Any]:
    shown = {"customer_identifier": reveals.show, "customer_id": reveals.show_customer_id}
    cells = ((name, value_of(row)) for name, value_of in _COLUMNS)
    return [
        _cell(shown[name](value) if value and name in shown else value) for name, value in cells
    ]


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return "'" + value
    return value


def _lines(rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
