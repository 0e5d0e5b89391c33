"""Knows the workers by their heartbeats, and says which of them are lost. No I/O.

Only the broker's clock and this process' own steps count: the time of each record is the broker's,
and the worker's own record, which comes back to it, tells what time it is there. While its own
records do not come back, the way to the broker is broken, and nobody is judged.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from posstream.domain.printable import printable
from posstream.findings import WORKER_LOST, Finding, found
from posstream.fleet.heartbeat import (
    BEAT_SECONDS,
    FORGOTTEN_SECONDS,
    LOST_SECONDS,
    Heartbeat,
    read_heartbeat,
)
from posstream.resilience.clock import Clock

log = logging.getLogger(__name__)

#: Without a heartbeat of its own for this long, a worker does not hear the others either.
_DEAF_SECONDS: Final = 2 * BEAT_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One worker as it is known here."""

    beat: Heartbeat
    #: Since its last heartbeat.
    silent_seconds: float
    is_lost: bool = False
    #: Whether it is the worker that tells this.
    is_here: bool = False


@dataclass(frozen=True, slots=True)
class _Seen:
    beat: Heartbeat
    #: Of its last record, by the broker's clock.
    at_ms: int


class Workers:
    """The newest heartbeat of each worker: what the records of the topic say."""

    def __init__(self) -> None:
        self._seen: dict[bytes, _Seen] = {}

    def take(self, key: bytes | None, value: bytes | None, at_ms: int) -> bool:
        """Follow a record of the topic; False if it is no heartbeat.

        Args:
            key: the worker's name.
            value: the heartbeat; None = the worker has stopped.
            at_ms: the record's timestamp.
        """
        if value is None:
            self._seen.pop(key or b"", None)
            return True
        beat = read_heartbeat(value)
        if beat is None or beat.worker.encode() != key:
            return False
        self._seen[key] = _Seen(beat, at_ms)
        return True

    @property
    def newest_ms(self) -> int:
        """The time of the newest record; 0 = there is none."""
        return max((it.at_ms for it in self._seen.values()), default=0)

    def members(self, now_ms: float, *, here: str = "") -> Sequence[Member]:
        """All workers but those that were lost long ago, by their address.

        Args:
            now_ms: the time now, by the broker's clock.
            here: the name of the worker that asks.
        """
        made = []
        for it in self._seen.values():
            silent = max(0.0, (now_ms - it.at_ms) / 1000)
            if silent < FORGOTTEN_SECONDS:
                is_here = it.beat.worker == here
                made.append(
                    Member(
                        beat=it.beat,
                        silent_seconds=silent,
                        is_lost=silent > LOST_SECONDS and not is_here,
                        is_here=is_here,
                    )
                )
        return sorted(made, key=lambda it: (it.beat.address, it.beat.worker))


class Fleet:
    """All workers as one of them knows them.

    Logs once that a worker is lost, and once that it is back.

    Args:
        clock: time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: The name of this worker.
        self.here = ""
        self._workers = Workers()
        #: By the broker's clock at 0 of the monotonic one, as of the last own record.
        self._zero_ms = 0.0
        #: Monotonic seconds of the last own record, and of the first one without a gap since.
        self._heard_at = self._hears_since = -1e9
        #: The lost workers by their name, as of the last look.
        self._lost: dict[str, Member] = {}

    @property
    def members(self) -> Sequence[Member]:
        """All workers, by their address; who is lost is as of the last look."""
        return [replace(it, is_lost=it.beat.worker in self._lost) for it in self._known()]

    @property
    def hears(self) -> bool:
        """Whether this worker's own heartbeats come back to it."""
        return self._clock.monotonic() - self._heard_at < _DEAF_SECONDS

    @property
    def lost(self) -> int:
        """How many workers are lost."""
        return len(self._lost)

    @property
    def findings(self) -> Sequence[Finding]:
        """A finding for each lost worker."""
        return [
            found(
                WORKER_LOST,
                f"the worker {name_of(it.beat)} is lost: not seen for {span(it.silent_seconds)}",
                "fleet",
            )
            for it in self.members
            if it.is_lost
        ]

    def take(self, key: bytes | None, value: bytes | None, at_ms: int) -> None:
        """Follow a record of the topic; see `Workers.take`."""
        if not self._workers.take(key, value, at_ms):
            log.debug("skipped a record of the workers: it is no heartbeat")
        if value is not None and key == self.here.encode():
            now = self._clock.monotonic()
            if not self.hears:
                self._hears_since = now
            self._heard_at, self._zero_ms = now, at_ms - now * 1000

    def look(self) -> None:
        """Find out who is lost and who is back; call this often."""
        heard_for = self._clock.monotonic() - self._hears_since
        if not self.hears or heard_for < LOST_SECONDS:
            return
        known = {it.beat.worker: it for it in self._known()}
        before, self._lost = self._lost, {name: it for name, it in known.items() if it.is_lost}
        for name, it in self._lost.items():
            if name not in before:
                log.warning(
                    "the worker %s is lost: not seen for %s",
                    name_of(it.beat),
                    span(it.silent_seconds),
                )
        for name, it in before.items():
            if name in self._lost:
                continue
            if name in known:
                log.warning("the worker %s is back", name_of(known[name].beat))
            else:
                log.info("stopped looking for the lost worker %s", name_of(it.beat))

    def _known(self) -> Sequence[Member]:
        now_ms = self._zero_ms + self._clock.monotonic() * 1000
        return self._workers.members(now_ms, here=self.here)


def name_of(beat: Heartbeat) -> str:
    """A worker as people name it."""
    return printable(beat.address)


def span(seconds: float) -> str:
    """How long ago, in words: `25 s`, `10 min`, `3 h`, `4 days`."""
    for unit, name in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"
