"""A contestant that runs and waits: how long it takes for events that come all at once."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Final

from confluent_kafka import TopicPartition

from agents.customer_lookup import topics
from benchmarks import scans
from benchmarks.contestants import Contestant
from benchmarks.directory import customer_id_of
from benchmarks.posstream_worker import Posstream, watched
from benchmarks.runs import Peer, Watched, watch
from benchmarks.stage import Stage
from benchmarks.verdict import judge
from benchmarks.windows import Window
from posstream.settings import PARTITIONS
from tests.integration.harness import Worker

#: Asked for before anything is measured: connections are made then.
_WARM: Final = 16
#: Between two looks at how many are answered.
_LOOK_SECONDS: Final = 0.01


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of events that came at once."""

    window: Window
    #: From when they were written until all were answered.
    seconds: float
    duplicates: int


@dataclass(frozen=True, slots=True)
class Live:
    """A contestant at work, and its topics."""

    stage: Stage
    who: Watched
    source: str
    answers: str

    def asked_cold(self, count: int, *, at_once: int | None = None) -> Answered:
        """Ask for so many customers whom nobody knows; see `asked`."""
        tag = self.stage.next_number()
        identifiers = [scans.cold(tag, number) for number in range(count)]
        return self.asked(identifiers, tag=tag, at_once=at_once)

    def asked(
        self, identifiers: Sequence[str], *, tag: int, at_once: int | None = None
    ) -> Answered:
        """Ask for unknown identifiers and wait for the answers.

        Args:
            identifiers: who is asked for.
            tag: the run's, in its baskets.
            at_once: so many may be without an answer; None: all of them.

        Raises:
            WrongAnswers: if one has none, or somebody else's.
        """
        since = self.stage.ends(self.answers)
        events = scans.scans(identifiers, tag=tag)
        began = time.monotonic()
        with ThreadPoolExecutor(1) as beside:
            writing = beside.submit(
                self._write, events, len(identifiers), since, at_once or len(identifiers)
            )
            window, _ = watch(self.stage, self.who, since, len(identifiers))
            writing.result()
        seconds = time.monotonic() - began
        verdict = judge(
            self.stage,
            since,
            tag=tag,
            events=len(identifiers),
            customer_of=lambda number: customer_id_of(identifiers[number]),
            sample=1,
        )
        return Answered(window, seconds, verdict.duplicates)

    def _write(
        self,
        events: Iterator[tuple[bytes, bytes]],
        count: int,
        since: Sequence[TopicPartition],
        at_once: int,
    ) -> None:
        writer = scans.Writer(self.stage.servers)
        written = 0
        with self.stage.counting(since) as answered:
            while written < count and self.who.running():
                room = min(count, at_once + (answered() if written else 0)) - written
                if room >= min(max(1, at_once // 10), count - written):
                    writer.write(self.source, islice(events, room))
                    written += room
                time.sleep(_LOOK_SECONDS)


@contextmanager
def live_peer(on: Stage, contestant: Contestant, *, api: str) -> Iterator[Live]:
    """A peer that knows nobody."""
    source = on.new_topic("cold", PARTITIONS)
    answers = on.new_topic(f"answers-{contestant.name}", PARTITIONS)
    peer = Peer(on, contestant, source=source, answers=answers, customers=0, api=api)
    with peer.started():
        live = Live(on, peer.watched, source, answers)
        live.asked_cold(_WARM)
        yield live
    on.delete(source, answers)


@contextmanager
def live_posstream(posstream: Posstream) -> Iterator[tuple[Live, Worker]]:
    """A worker that is ready."""
    posstream.rewind()
    with posstream.started() as workers:
        live = Live(
            posstream.stage,
            watched(workers),
            topics.CUSTOMER_IDENTIFIED,
            topics.CUSTOMER_DATA_FETCHED,
        )
        yield live, workers[0]
