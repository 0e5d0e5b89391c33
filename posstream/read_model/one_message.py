"""Reads from PostgreSQL in one message: the transaction's begin, the SELECT and the end.

One after the other they are four messages, and a message costs more than the work that the server
does for a row by its key.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from posstream.read_model.engine import begin_on_postgresql
from posstream.read_model.prepared import Prepared
from posstream.read_model.refusals import absence


async def rows_in_one_message(
    connection: AsyncConnection, query: Prepared, values: Mapping[str, Any]
) -> Sequence[Sequence[Any]]:
    """The rows of a statement, in a transaction of its own.

    Raises:
        DatabaseAway: if the database cannot be used.
        DBAPIError: for any other error of the database.
    """
    from psycopg import AsyncClientCursor, Error  # not with SQLite: see `refusals`

    compiled = query.on(connection.dialect)
    begin = begin_on_postgresql(connection.engine.get_execution_options())
    driver: Any = (await connection.get_raw_connection()).driver_connection
    try:
        # This cursor writes the values into the text: a message of several statements has no
        # parameters.
        async with AsyncClientCursor(driver) as cursor:
            await cursor.execute(f"{begin}; {compiled.text}; COMMIT", compiled.by_name(values))
            # `cursor.description` would make an object for each column, twice in each read.
            while (result := cursor.pgresult) is None or not result.nfields:
                if not cursor.nextset():
                    raise DBAPIError(None, None, RuntimeError("the SELECT has no result"))
            types = [result.ftype(number) for number in range(result.nfields)]
            return compiled.rows(await cursor.fetchall(), types)
    except Error as why:
        if away := absence(why):
            raise away from why
        raise DBAPIError(None, None, why) from why
