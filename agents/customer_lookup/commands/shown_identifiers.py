"""The option by which a command shows identifiers in full."""

from typing import Final

import click

from posstream.domain.roles import LOCAL
from web.access.reveals import Reveals

UNMASKED_OPTION: Final = click.option(
    "--unmasked", is_flag=True, help="Show identifiers, phones and e-mail addresses in full."
)


def reveals(*, unmasked: bool) -> Reveals:
    """What shows identifiers; whoever reads the database may see all of it."""
    return Reveals(LOCAL, asked=unmasked)
