"""Which plugin has which field, page or panel."""

from collections.abc import Iterable

from posstream.domain.errors import StartRefused


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
