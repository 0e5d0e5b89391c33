"""The read model from outside: all its rows, and its reconstruction."""

import asyncio
import sys
from typing import Any

import asyncpg
from sqlalchemy import select

from agents.customer_lookup.read_model.schema import READ_MODEL
from posstream.read_model.engine import create_engine
from tests.chaos.stage import Stage
from tests.integration.harness import environment

Rows = dict[str, list[dict[str, Any]]]


async def rows(database_url: str) -> Rows:
    """Every row of every table, sorted, without the numbers that only count them."""
    engine = create_engine(database_url)
    found: Rows = {}
    try:
        async with engine.connect() as connection:
            for table in READ_MODEL:
                columns = [column for column in table.columns if column.name != "id"]
                result = await connection.execute(select(*columns))
                found[table.name] = sorted(
                    (dict(row) for row in result.mappings()), key=lambda row: str([*row.values()])
                )
    finally:
        await engine.dispose()
    return found


async def rebuild(stage: Stage) -> Rows:
    """Drop the rows, make them anew by `posstream projection rebuild`, and read them."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "posstream.cli", "projection", "rebuild", "--drop", "--yes"),
        env=environment(
            broker="kafka://" + ";".join(stage.cluster.servers),
            database_url=stage.database_url,
            datadir=stage.folder / "rebuild",
        ),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return await rows(stage.database_url)


async def connect(stage: Stage) -> asyncpg.Connection:
    """A connection of the scenario's own to its database."""
    return await asyncpg.connect(stage.database_url.replace("+asyncpg", ""), ssl=False)
