"""`posstream explain`: why a till got its answer, from the read model alone."""

import sys
from collections.abc import Iterator
from typing import Any

import click

from agents.customer_lookup.timeline import Entry, timeline
from posstream.commands.running import JSON_OPTION, print_json, read_settings, run
from posstream.domain.printable import printable
from posstream.domain.times import iso_utc
from posstream.settings import Settings

#: Shown where no time is known; as wide as a time.
_NO_TIME = "-".ljust(len("2026-01-31T08:00:00.000Z"))


@click.command("explain")
@click.argument("basket_id")
@JSON_OPTION
def command(basket_id: str, *, as_json: bool) -> None:
    """Say why the till of basket BASKET_ID got its answers, step by step.

    Reads only the database. Exits with 1 if nothing of the basket was seen, or without a
    database.
    """
    run(explain(read_settings(), basket_id, as_json=as_json))


async def explain(settings: Settings, basket_id: str, *, as_json: bool) -> int:
    """Print the timeline of a basket.

    Returns:
        0, or 1 if nothing of the basket was seen.

    Raises:
        DatabaseUnusable: without a database.
    """
    from agents.customer_lookup.read_model.queries import SqlReadModel
    from posstream.commands.database import opened

    async with opened(settings) as engine:
        history = await SqlReadModel(engine).basket_history(basket_id)
    if history is None:
        print(
            f"error: nothing is known of basket {printable(basket_id)}: it was never seen, or the "
            "read model is behind the topics",
            file=sys.stderr,
        )
        return 1
    if as_json:
        print_json([_document(it) for it in timeline(history)])
        return 0
    for entry in timeline(history):
        for line in _lines(entry):
            print(line)
    return 0


def _document(entry: Entry) -> dict[str, Any]:
    detail = [{"name": name, "value": value} for name, value in entry.detail]
    return {"at": iso_utc(entry.at), "step": entry.step, "title": entry.title, "detail": detail}


def _lines(entry: Entry) -> Iterator[str]:
    yield f"{iso_utc(entry.at) or _NO_TIME}  {printable(entry.title)}"
    indent = " " * (len(_NO_TIME) + 4)
    for key, value in entry.detail:
        yield f"{indent}{key}: {printable(value)}"
