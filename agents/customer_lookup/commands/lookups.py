"""`posstream lookups`: the newest answers to tills, from the read model alone."""

from datetime import datetime
from typing import Any, Final

import click

from agents.customer_lookup.commands.shown_identifiers import UNMASKED_OPTION, reveals
from agents.customer_lookup.read_model.records import AnswerFilter, AnswerOutcome, AnswerRow
from agents.customer_lookup.reasons import Reason, Source
from posstream.commands.forget import given_identifier
from posstream.commands.moment import MOMENT
from posstream.commands.running import (
    JSON_OPTION,
    print_json,
    print_table,
    read_settings,
    run,
)
from posstream.domain.printable import printable
from posstream.domain.times import iso_utc
from posstream.settings import Settings
from web.access.reveals import Reveals

_HEAD: Final = ("WHEN", "BASKET", "IDENTIFIER", "ANSWER", "CUSTOMER", "MS")


@click.command("lookups")
@click.option("--outcome", type=click.Choice(AnswerOutcome, case_sensitive=False))
@click.option("--source", type=click.Choice(Source, case_sensitive=False))
@click.option("--reason", type=click.Choice(Reason, case_sensitive=False))
@click.option("--identifier", help="For this phone, e-mail or card, in any spelling.")
@click.option("--basket", "basket_id", help="For the basket with this id.")
@click.option("--customer", "customer_id", help="With the customer of this id.")
@click.option("--terminal", "terminal_id", help="At the till that started the basket.")
@click.option("--employee", "employee_id", help="Of the employee who started the basket.")
@click.option("--version", "config_version", type=int, help="By this version of the configuration.")
@click.option("--from", "since", type=MOMENT, help="Answered then or later.")
@click.option("--to", "until", type=MOMENT, help="Answered before.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@UNMASKED_OPTION
@JSON_OPTION
def command(
    *, identifier: str | None, limit: int, unmasked: bool, as_json: bool, **conditions: Any
) -> None:
    """Show the answers to tills, the newest first. Reads only the database.

    A time is like 2h, 30m or 7d (ago), or like 2026-01-31T08:15:00Z.
    """
    settings = read_settings()
    normal = None if identifier is None else given_identifier(settings, identifier).value
    wanted = AnswerFilter(identifier=normal, **conditions)
    run(lookups(settings, wanted, limit=limit, shown=reveals(unmasked=unmasked), as_json=as_json))


async def lookups(
    settings: Settings, wanted: AnswerFilter, *, limit: int, shown: Reveals, as_json: bool
) -> int:
    """Print the newest answers.

    Returns:
        0.

    Raises:
        DatabaseUnusable: without a database.
    """
    from agents.customer_lookup.read_model.queries import SqlReadModel
    from posstream.commands.database import opened

    async with opened(settings) as engine:
        rows = await SqlReadModel(engine).lookup_answers(wanted, first=limit)
    if as_json:
        print_json([answer_document(row, shown) for row in rows])
    elif rows:
        print_answers(rows, shown)
    else:
        print("no answer matches")
    return 0


def print_answers(rows: Any, shown: Reveals) -> None:
    """Print a table of answers."""
    print_table(
        _HEAD,
        [
            (
                iso_utc(row.occurred_at) or "-",
                printable(row.basket_id),
                printable(shown.show(row.customer_identifier)),
                row.reason or row.source or "-",
                shown.show_customer_id(row.customer_id or "-"),
                "-" if row.duration_ms is None else str(row.duration_ms),
            )
            for row in rows
        ],
    )


def answer_document(row: AnswerRow, shown: Reveals) -> dict[str, Any]:
    """An answer for JSON, with its identifiers as they may be shown."""
    document = {
        name: iso_utc(value) if isinstance(value, datetime) else value
        for name in AnswerRow.__slots__
        for value in [getattr(row, name)]
    }
    document["customer_identifier"] = shown.show(row.customer_identifier)
    if row.customer_id is not None:
        document["customer_id"] = shown.show_customer_id(row.customer_id)
    return document
