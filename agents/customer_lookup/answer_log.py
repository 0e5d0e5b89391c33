"""Tells in the log how lookups end: failures by their kind, and at DEBUG each answer."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from agents.customer_lookup.answers import Identification, LookupAnswer, LookupFailed
from agents.customer_lookup.reasons import Reason, Source
from posstream.domain.masking import mask_identifier
from posstream.resilience.clock import Clock
from posstream.resilience.repeats import Repeats
from posstream.tracing.context import trace_id

log = logging.getLogger(__name__)

#: Answers that are no failures of a lookup.
_FINE: Final[frozenset[str]] = frozenset({"NONE", Reason.NOT_FOUND})


class AnswerLog:
    """Logs the first failure of a kind in full, then a number each minute. For one event loop."""

    def __init__(self, clock: Clock) -> None:
        self._repeats: Repeats[str] = Repeats(clock)

    @property
    def says_each(self) -> bool:
        """Whether each answer gets a line."""
        return log.isEnabledFor(logging.DEBUG)

    def answered(self, answer: LookupAnswer) -> None:
        """Tell an answer that was waited for."""
        kind = _kind(answer.source, _reason(answer))
        if kind is not None and self._repeats.is_first(kind):
            log.warning("a lookup ended as %s%s", kind, _why(answer), extra=_about(answer.asked))
        if self.says_each:
            self.each(answer)

    def counted(self, source: str | None, reason: str, count: int) -> None:
        """Tell answers of one kind that were given at once."""
        kind = _kind(source, reason)
        if kind is not None and self._repeats.is_first(kind, count):
            log.warning("a lookup ended as %s", kind)

    def report(self) -> None:
        """Tell once a minute how many more there were of each kind; call this often."""
        for kind, count in self._repeats.due():
            log.warning("lookups ended as %s: %d more in a minute", kind, count)

    def each(self, answer: LookupAnswer) -> None:
        """Tell one answer, at DEBUG."""
        told = _kind(answer.source, _reason(answer)) or answer.source or _reason(answer)
        _tell_each(answer.asked, f"{told}{_why(answer)} in {answer.duration_ms} ms")

    def hits(
        self,
        records: Sequence[Any],
        others: Iterable[Any],
        read: Callable[[Any], Identification],
    ) -> Iterator[Any]:
        """Yield `others` unchanged, and tell every other one of `records` as a hit of the cache.

        Args:
            records: a fetched list.
            others: those of `records` that no cache entry answered, in the same order.
            read: reads a record.
        """
        left = iter(records)
        for other in others:
            for record in iter(lambda: next(left), other):
                _tell_each(read(record), Source.CACHE)
            yield other
        for record in left:
            _tell_each(read(record), Source.CACHE)


def _tell_each(asked: Identification, told: str) -> None:
    log.debug("%s: %s", mask_identifier(asked.identifier), told, extra=_about(asked))


def _about(asked: Identification) -> dict[str, str | None]:
    return {
        "lookup_id": asked.lookup_id,
        "basket_id": asked.basket_id,
        "trace_id": trace_id(asked.traceparent),
    }


def _reason(answer: LookupAnswer) -> str:
    return answer.reason if isinstance(answer, LookupFailed) else "NONE"


def _kind(source: str | None, reason: str) -> str | None:
    """The kind of a failure; None if it is none."""
    if reason not in _FINE:
        return str(reason)
    return str(source) if source == Source.STALE_CACHE else None


def _why(answer: LookupAnswer) -> str:
    return f" ({answer.error_message})" if isinstance(answer, LookupFailed) else ""
