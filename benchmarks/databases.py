"""The databases that a measure is taken with."""

from collections.abc import Callable
from typing import TypeVar

from benchmarks.progress import say
from tests.servers import postgres

Served = TypeVar("Served")


def on_each_database(serve: Callable[[str, str | None], Served]) -> dict[str, Served]:
    """Measure on SQLite, and on a PostgreSQL of its own if this machine has one.

    Args:
        serve: measures, given the name of the database, and the URL of PostgreSQL.

    Returns:
        What was measured, by the name of the database.
    """
    served = {"SQLite": serve("SQLite", None)}
    if (lacking := postgres.lacking()) is None:
        with postgres.running() as url:
            served["PostgreSQL"] = serve("PostgreSQL", url)
    else:
        say(f"no PostgreSQL: {lacking}")
    return served
