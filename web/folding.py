"""Folds parts of plugins: one owner for each field, page or panel, and why a part is missing."""

import logging
from collections.abc import Iterable

from posstream.domain.errors import StartRefused

logger = logging.getLogger(__name__)


class Claims:
    """What is taken, each by one plugin."""

    def __init__(self) -> None:
        self._owners: dict[str, str] = {}

    def take(self, plugin: str, what: Iterable[str]) -> None:
        """Note what a plugin brings.

        Raises:
            StartRefused: if another plugin has some of it; both are named.
        """
        for one in what:
            owner = self._owners.setdefault(one, plugin)
            if owner != plugin:
                raise StartRefused(
                    f"{one} is claimed by {owner} and by {plugin}: "
                    "leave one of them out with POSSTREAM_PLUGINS"
                )


def not_made(plugin: str, part: str, why: Exception) -> str:
    """Log why a part of a plugin cannot be made, and give the reason as a sentence for people.

    Args:
        plugin: its name.
        part: `GraphQL` or `pages`.
        why: what the plugin's own code raised.
    """
    logger.error("the plugin %s cannot give its part (%s)", plugin, part, exc_info=why)
    return f"its {part} cannot be made ({type(why).__name__}: {why})"
