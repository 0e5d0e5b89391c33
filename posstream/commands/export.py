"""`posstream export`: print everything that posstream knows of one customer (right of access)."""

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import click

from posstream.commands.forget import given_identifier
from posstream.commands.running import read_settings, run
from posstream.domain.identifier import Identifier
from posstream.domain.payment_card import mask_payment_cards
from posstream.domain.times import iso_utc_ms
from posstream.json.writing import write_json
from posstream.plugin import Plugin
from posstream.plugins.discovery import find_plugins
from posstream.resilience.clock import Clock
from posstream.settings import Settings


@click.command("export")
@click.argument("identifier")
def command(identifier: str) -> None:
    """Print what is known of the customer behind IDENTIFIER (phone, e-mail or card), as JSON.

    One document with a part for each plugin. Reads the database, and from the broker the
    changelogs of tables that know more. Exits with 1 if nobody is known by IDENTIFIER, if a part
    is missing, or without a database.
    """
    settings = read_settings()
    run(export(settings, given_identifier(settings, identifier), find_plugins()))


async def export(settings: Settings, identifier: Identifier, plugins: Iterable[Plugin]) -> int:
    """Print what plugins know of the customer of an identifier.

    Returns:
        0, or 1 if nobody is known by it or a plugin failed.

    Raises:
        DatabaseUnusable: without a database.
    """
    from posstream.commands.database import opened
    from posstream.forgetting.asking import AskedPlugins

    async with opened(settings) as engine:
        asked = AskedPlugins(plugins, engine)
        trail = await asked.trail(identifier.value)
        counted = await asked.rows(trail)
        parts = await asked.export(trail)
    kept = await asked.kept(settings.bootstrap_servers, trail)
    known = any(counted.values()) or any(any(it.values()) for it in kept.values())
    if known:
        document = {
            "exported_at": iso_utc_ms(Clock().now_ms()),
            "identifiers": trail.identifiers,
            "customer_ids": trail.customer_ids,
            "plugins": {name: {**it, **kept.get(name, {})} for name, it in parts.items()},
        }
        print(write_json(_masked(document), indented=True).decode())
    elif not asked.failed:
        print(f"error: nothing is known of {identifier.masked}", file=sys.stderr)
    for name, why in asked.failed.items():
        lacks = "not whole" if name in parts else "missing"
        print(f"error: the plugin {name} failed ({why}); its part is {lacks}", file=sys.stderr)
    return 0 if known and not asked.failed else 1


def _masked(value: Any) -> Any:
    """A document with each payment-card number masked, in keys too."""
    if isinstance(value, Mapping):
        return {mask_payment_cards(str(key)): _masked(item) for key, item in value.items()}
    if isinstance(value, str):
        return mask_payment_cards(value)
    return [_masked(item) for item in value] if isinstance(value, (list, tuple)) else value
