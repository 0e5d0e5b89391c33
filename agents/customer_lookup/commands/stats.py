"""`posstream stats`: what lookups cost and what they were spared, from the read model alone."""

from datetime import timedelta
from typing import Any

import click

from posstream.commands.moment import LENGTH
from posstream.commands.running import JSON_OPTION, print_json, read_settings, run
from posstream.domain.times import from_ms, iso_utc
from posstream.resilience.clock import Clock
from posstream.settings import Settings


@click.command("stats")
@click.option(
    "--window", type=LENGTH, default="1h", show_default=True, help="How far back: 90s, 30m, 2h, 7d."
)
@JSON_OPTION
def command(window: timedelta, *, as_json: bool) -> None:
    """Show how recent lookups were answered, as GraphQL's `lookupStats` does.

    All workers together. Reads only the database.
    """
    run(stats(read_settings(), window, as_json=as_json))


async def stats(settings: Settings, window: timedelta, *, as_json: bool) -> int:
    """Print what was counted in a window up to now.

    Returns:
        0.

    Raises:
        DatabaseUnusable: without a database.
    """
    from agents.customer_lookup.read_model.queries import SqlReadModel
    from posstream.commands.database import opened

    until = from_ms(Clock().now_ms())
    async with opened(settings) as engine:
        counted = await SqlReadModel(engine).lookup_statistics(until - window)
    span = {
        "window_seconds": int(window.total_seconds()),
        "since": iso_utc(until - window),
        "until": iso_utc(until),
    }
    figures = span | counted.figures()
    if as_json:
        print_json(figures)
        return 0
    for name, value in figures.items():
        print(f"{name:26}  {_text(value)}")
    return 0


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(f"{it['count']} {it['reason']}" for it in value) or "-"
    if isinstance(value, float):
        return f"{value:.1%}"
    return "-" if value is None else str(value)
