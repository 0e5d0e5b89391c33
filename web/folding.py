"""Folds parts of plugins: one owner for each field, page or panel, and why a part is missing."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from posstream.domain.errors import StartRefused

logger = logging.getLogger(__name__)

P = TypeVar("P")
T = TypeVar("T")


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


def not_made(plugin: str, part: str, why: BaseException) -> str:
    """Log why a part of a plugin cannot be made, and give the reason as a sentence for people.

    Args:
        plugin: its name.
        part: `GraphQL` or `pages`.
        why: what the plugin's own code raised.
    """
    logger.error("the plugin %s cannot give its part (%s)", plugin, part, exc_info=why)
    return f"its {part} cannot be made ({type(why).__name__}: {why})"


def fitting(
    parts: Mapping[str, P],
    make: Callable[[Mapping[str, P]], T],
    told: Callable[[str, BaseException], str],
) -> tuple[T, dict[str, str]]:
    """Make one thing of the parts of all plugins that it can be made of.

    Args:
        parts: by plugin.
        make: makes it; raises if a part does not fit.
        told: logs why the part of a plugin does not fit, and gives the reason.

    Returns:
        what was made, and the reason for each plugin whose part is not in it.
    """
    try:
        return make(parts), {}
    except StartRefused:
        raise
    except (Exception, SystemExit):
        logger.debug("not all parts fit; each is tried", exc_info=True)
    fit: dict[str, P] = {}
    failures = {}
    for name, part in parts.items():
        try:
            make({**fit, name: part})
            fit[name] = part
        except (Exception, SystemExit) as why:  # noqa: BLE001 - a plugin's own code
            failures[name] = told(name, why)
    return make(fit), failures
