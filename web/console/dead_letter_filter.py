"""The filter of the list of dead letters, as it stands in a URL."""

from collections.abc import Mapping, Sequence
from typing import Final

from posstream.dead_letters.letter import Letter
from posstream.domain.times import to_ms
from web.console.typed_fields import TypedFields

#: The fields of the form, by their names in the URL.
FIELDS: Final = ("reason", "topic", "from", "to")


class LetterFilter(TypedFields):
    """Which letters are wanted.

    Args:
        query: of the URL; a blank field filters nothing.
    """

    def __init__(self, query: Mapping[str, str]) -> None:
        super().__init__({name: query.get(name, "").strip() for name in FIELDS})
        since, until = self.span()
        self._since_ms = None if since is None else to_ms(since)
        self._until_ms = None if until is None else to_ms(until)

    def of(self, letters: Sequence[Letter]) -> list[Letter]:
        """Those of some letters that are wanted; none if a field has an error."""
        return [] if self.errors else [it for it in letters if self._has(it)]

    def _has(self, letter: Letter) -> bool:
        reason, topic = self.typed["reason"], self.typed["topic"]
        return (
            reason in {"", letter.reason}
            and topic in {"", topic_of(letter)}
            and (self._since_ms is None or letter.timestamp_ms >= self._since_ms)
            and (self._until_ms is None or letter.timestamp_ms < self._until_ms)
        )


def topic_of(letter: Letter) -> str:
    """Where a letter came from; empty if it does not say."""
    return "" if letter.source is None else letter.source.topic
