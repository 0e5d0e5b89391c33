"""One run of one contestant, watched from outside: what it answered, how fast, at what cost."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from confluent_kafka import TopicPartition

from benchmarks import processes
from benchmarks.contestants import Contestant
from benchmarks.progress import Bar
from benchmarks.stage import Stage
from benchmarks.windows import Sample, Window, window

#: Between two looks at the answers.
_LOOK_SECONDS: Final = 0.05
#: Without an answer for so long a run is given up.
_STALL_SECONDS: Final = 90
_STOP_SECONDS: Final = 10


@dataclass(frozen=True, slots=True)
class Run:
    """What was measured of one run."""

    window: Window
    #: Resident memory at the end.
    rss_bytes: int
    #: Answers that came twice.
    duplicates: int = 0


class Stalled(RuntimeError):
    """A contestant stopped answering; the message has the end of its log."""


@dataclass(frozen=True, slots=True)
class Watched:
    """Something that answers."""

    title: str
    pids: Callable[[], Sequence[int]]
    running: Callable[[], bool]
    log: Callable[[], str]


def watch(
    stage: Stage, who: Watched, since: Sequence[TopicPartition], events: int
) -> tuple[Window, int]:
    """Wait until all events are answered.

    Args:
        stage: where the answers come.
        who: whose CPU time and memory count.
        since: the ends of the answers' topic at the start.
        events: how many answers there will be.

    Returns:
        The window between 15 and 95 % of the events, and the resident memory at the end.

    Raises:
        Stalled: if they do not come.
    """
    with stage.counting(since) as counted:
        return watch_count(who, counted, events, beside=stage.pids)


def watch_count(
    who: Watched, counted: Callable[[], int], events: int, *, beside: Sequence[int]
) -> tuple[Window, int]:
    """Wait until a count is complete: the window and the memory, as `watch` gives them.

    Args:
        who: whose CPU time and memory count.
        counted: how many events are done.
        events: how many there are.
        beside: processes whose CPU time is told apart, with those that they start.

    Raises:
        Stalled: if they are not done.
    """
    samples = list(_samples(who, counted, events, beside))
    return window(samples, events), processes.rss_bytes(processes.trees(who.pids()))


def wait(stage: Stage, who: Watched, since: Sequence[TopicPartition], events: int) -> None:
    """The same without a look at how it went.

    Raises:
        Stalled: if they do not come.
    """
    with stage.counting(since) as counted:
        for _ in _samples(who, counted, events, ()):
            pass


def _samples(
    who: Watched, counted: Callable[[], int], events: int, beside: Sequence[int]
) -> Iterator[Sample]:
    bar = Bar(who.title, events)
    heard_at, last = time.monotonic(), -1
    try:
        while last < events:
            pids = processes.trees(who.pids())
            count, now = counted(), time.monotonic()
            cpu_seconds = processes.cpu_seconds(pids)
            yield Sample(now, count, cpu_seconds, processes.cpu_seconds(processes.trees(beside)))
            bar.at(count)
            if count != last:
                heard_at, last = now, count
            elif not who.running() or now - heard_at > _STALL_SECONDS:
                raise Stalled(f"{who.title} has {count} of {events} answers: {who.log()[-3000:]}")
            time.sleep(_LOOK_SECONDS if last < events else 0)
    finally:
        bar.end()


class Process:
    """A process that is measured.

    Args:
        title: what it is called in tables.
        command: how it is started.
        folder: its log is there.
        environment: if not ours.
    """

    def __init__(
        self,
        title: str,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = command
        self._log_file = folder / "log"
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self.watched = Watched(title, self._pids, self._running, self._log)

    @contextmanager
    def started(self) -> Iterator[None]:
        """It runs meanwhile."""
        with self._log_file.open("wb") as log:
            process = subprocess.Popen(self._command, stdout=log, stderr=log, env=self._environment)
        self._process = process
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It stands still meanwhile; not for longer than the broker waits for it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def _pids(self) -> Sequence[int]:
        return [self._process.pid] if self._process else []

    def _running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _log(self) -> str:
        return self._log_file.read_text(errors="replace")


class Peer(Process):
    """The process of a contestant.

    Args:
        stage: its broker.
        contestant: who it is.
        source: what it reads.
        answers: where it answers, a topic of its own.
        customers: how many it knows.
        api: the directory for those that it does not.
    """

    def __init__(  # noqa: PLR0913 - its command line names all of them
        self,
        stage: Stage,
        contestant: Contestant,
        *,
        source: str,
        answers: str,
        customers: int,
        api: str = "",
    ) -> None:
        folder = stage.new_folder(contestant.name)
        command = [
            *(sys.executable, "-m", f"benchmarks.contestants.{contestant.module}"),
            *("--servers", stage.servers, "--source", source, "--answers", answers),
            *("--group", f"{answers}-group", "--api", api, "--customers", str(customers)),
            *("--workdir", str(folder), *contestant.arguments),
        ]
        super().__init__(contestant.title, command, folder)
