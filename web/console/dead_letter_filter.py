"""The list of dead letters as its URL asks for it: filter and order."""

from collections.abc import Sequence
from typing import Any, Final

from aiohttp import web

from posstream.dead_letters.letter import Letter
from posstream.domain.times import to_ms
from web.console.lists import AskedList, Listed

#: The fields of the form, by their names in the URL.
FIELDS: Final = ("reason", "topic", "from", "to")
#: Asks what came of replays.
REPLAYS: Final = "replays"
#: How many letters were just replayed, and how many were left out.
DONE, LEFT = "done", "left"


class AskedLetters(AskedList):
    """Which letters are wanted, and in which order.

    Args:
        request: of the list, or of the replay of its letters.
    """

    def __init__(self, request: web.Request) -> None:
        super().__init__(request, FIELDS, beside=[REPLAYS], told=[DONE, LEFT])
        since, until = self.span()
        self._since_ms = None if since is None else to_ms(since)
        self._until_ms = None if until is None else to_ms(until)

    def of(self, letters: Sequence[Letter]) -> list[Letter]:
        """The wanted letters in their order; none if the URL is refused.

        Args:
            letters: the newest first.
        """
        wanted = [] if self.is_refused else [it for it in letters if self._has(it)]
        return wanted[::-1] if self.order.rising else wanted

    def _has(self, letter: Letter) -> bool:
        reason, topic = self.typed["reason"], self.typed["topic"]
        return (
            reason in {"", letter.reason}
            and topic in {"", topic_of(letter)}
            and (self._since_ms is None or letter.timestamp_ms >= self._since_ms)
            and (self._until_ms is None or letter.timestamp_ms < self._until_ms)
        )


def listed_letters(wanted: Sequence[Letter], *, rising: bool) -> Listed[Letter]:
    """Letters that were read already, as a list of the console.

    Args:
        wanted: in their order.
        rising: whether that is the oldest first.
    """
    places = {str(it.address): place for place, it in enumerate(wanted)}

    async def read(*, first: int, after: Any, rising: bool) -> Sequence[Letter]:
        rows = wanted if rising is is_rising else wanted[::-1]
        if after is None:
            return rows[:first]
        start = after + 1 if rising is is_rising else len(wanted) - after
        return rows[start : start + first]

    async def count(*, most: int) -> int:
        return min(len(wanted), most)

    is_rising = rising
    return Listed(read=read, count=count, cursor=lambda it: str(it.address), place=places.get)


def topic_of(letter: Letter) -> str:
    """Where a letter came from; empty if it does not say."""
    return "" if letter.source is None else letter.source.topic
