"""`posstream customer`: one customer, from the read model alone."""

import sys
from typing import Any, Final

import click

from agents.customer_lookup.commands.lookups import answer_document, print_answers
from agents.customer_lookup.commands.shown_identifiers import UNMASKED_OPTION, reveals
from agents.customer_lookup.read_model.records import CustomerHistory
from posstream.commands.running import (
    JSON_OPTION,
    print_json,
    print_table,
    read_settings,
    run,
)
from posstream.domain.identifier import Identifier, normalise
from posstream.domain.masking import mask_identifier
from posstream.domain.printable import printable
from posstream.domain.times import iso_utc
from posstream.settings import Settings
from web.access.reveals import Reveals

#: Answers that are printed; JSON has more.
_ANSWERS: Final = 10


@click.command("customer")
@click.argument("who")
@UNMASKED_OPTION
@JSON_OPTION
def command(who: str, *, unmasked: bool, as_json: bool) -> None:
    """Show the customer WHO: the directory's id, or any identifier (phone, e-mail or card).

    With all known identifiers and the newest answers to tills. Reads only the database. Exits
    with 1 if no customer is found.
    """
    shown = reveals(unmasked=unmasked)
    run(customer(read_settings(), who, shown=shown, as_json=as_json))


async def customer(settings: Settings, who: str, *, shown: Reveals, as_json: bool) -> int:
    """Print one customer.

    Returns:
        0, or 1 if nobody is known by this id or identifier.

    Raises:
        DatabaseUnusable: without a database.
    """
    from agents.customer_lookup.read_model.queries import SqlReadModel
    from posstream.commands.database import opened

    async with opened(settings) as engine:
        read_model = SqlReadModel(engine)
        history = await read_model.customer_history(who)
        found = normalise(who, card_guard=settings.payment_card_guard)
        if history is None and isinstance(found, Identifier):
            row = await read_model.customer_by_identifier(found.value)
            history = None if row is None else await read_model.customer_history(row.customer_id)
    if history is None:
        print(
            f"error: no customer is known by {mask_identifier(who)}: nobody was found by it at a "
            "till, or the read model is behind the topics",
            file=sys.stderr,
        )
        return 1
    if as_json:
        print_json(_document(history, shown))
    else:
        _print(history, shown)
    return 0


def _facts(history: CustomerHistory, shown: Reveals) -> dict[str, Any]:
    row = history.customer
    return {
        "customer_id": shown.show_customer_id(row.customer_id),
        "first_name": row.first_name,
        "last_name": row.last_name,
        "email": shown.show(row.email),
        "phone": shown.show(row.phone),
        "tier": row.tier,
        "loyalty_points": row.loyalty_points,
        "total_purchases": f"{row.total_purchases:.2f}",
        "last_purchase_date": iso_utc(row.last_purchase_date),
        "created_at": iso_utc(row.created_at),
        "updated_at": iso_utc(row.updated_at),
    }


def _document(history: CustomerHistory, shown: Reveals) -> dict[str, Any]:
    identifiers = [
        {
            "identifier": shown.show(it.identifier),
            "kind": it.kind,
            "first_seen_at": iso_utc(it.first_seen_at),
            "fetched_at": iso_utc(it.fetched_at),
        }
        for it in history.identifiers
    ]
    answers = [answer_document(it, shown) for it in history.answers]
    return {**_facts(history, shown), "identifiers": identifiers, "answers": answers}


def _print(history: CustomerHistory, shown: Reveals) -> None:
    for name, value in _facts(history, shown).items():
        print(f"{name:18}  {'-' if value is None else printable(str(value))}")
    print()
    print_table(
        ("IDENTIFIER", "KIND", "FETCHED"),
        [
            (printable(shown.show(it.identifier)), it.kind or "-", iso_utc(it.fetched_at) or "-")
            for it in history.identifiers
        ],
    )
    if history.answers:
        print()
        print_answers(history.answers[:_ANSWERS], shown)
