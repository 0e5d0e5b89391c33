"""`posstream visits`: how the toy counts."""

import click


@click.command("visits")
def visits() -> None:
    """Say what the toy counts."""
    click.echo("The toy counts the answers of each basket.")
