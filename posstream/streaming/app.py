"""The Faust app of one plugin: our driver, our boot order, and settings that were measured."""

import dataclasses
import logging
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import faust
from faust.app.base import BootStrategy as FaustBootStrategy
from mode import Service

from posstream.kafka.partitioner import partitioner
from posstream.kafka.topics import DEAD_LETTER_MAX_BYTES
from posstream.kafka.tuning import BATCH_BYTES, BUFFER_MAXSIZE, Tuning, max_poll_records
from posstream.startup.membership import Membership
from posstream.startup.process import collect_garbage_rarely
from posstream.streaming.co_partitioning import METADATA_SECONDS, client_id
from posstream.streaming.lifetimes import ProcessEnd
from posstream.streaming.lists.lanes import Lanes
from posstream.streaming.lists.progress import Progress
from posstream.streaming.one_by_one import OneByOne
from posstream.streaming.patches import discovery
from posstream.streaming.patches.driver import Transport
from posstream.streaming.patches.flow_control import FlowControl
from posstream.streaming.patches.recovery import Tables
from posstream.streaming.patches.table import Table
from posstream.streaming.pulse import Pulse

if TYPE_CHECKING:
    from posstream.plugins.event_failures import EventFailures
    from posstream.streaming.lists.lanes import Answering

log = logging.getLogger(__name__)

#: Events that are answered in one step of the event loop, unless a plugin says less: hits of the
#: customer lookup take some 10 us each.
MOST_AT_ONCE: Final = 1000
#: Seconds. A rebalance waits 60 s for a worker before the worker is taken for dead.
LONGEST_DRAIN: Final = 45


class BootStrategy(FaustBootStrategy):
    """The plugin's lifetimes first and last; the host has the web view."""

    enable_web = False  # Faust's own pages serve table data without authentication

    def server(self) -> Iterable[Service]:
        """The services of a plugin in starting order; they stop in reverse."""
        if not self.app.has_consumer:
            return [*self.app.lifetimes, *self.producer_only()]
        return [*self.app.lifetimes, *super().server()]


class WorkerApp(faust.App):
    """What the app of a plugin and that of the host have in common.

    Args:
        app_id: of Faust.
        broker: as Faust wants it.
        datadir: the worker's own; the tables are in its folder `tables`.
    """

    def __init__(self, app_id: str, *, broker: str, datadir: Path, **options: Any) -> None:
        self._end = ProcessEnd()
        discovery.install()
        super().__init__(
            app_id,
            env={},  # Faust reads some 80 names there, which override these arguments
            broker=broker,
            datadir=str(datadir / "tables"),
            store="rocksdb://",
            autodiscover=False,
            **options,
        )

    async def on_first_start(self) -> None:
        """Make the data directory; Faust makes only its last part."""
        Path(self.conf.datadir).mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - once, at start
        await super().on_first_start()

    def _crash(self, reason: BaseException) -> None:
        """Crash; if the stop after the crash hangs, end the process."""
        if not self.crashed:
            self._end.arm(self._drain_seconds)
        super()._crash(reason)

    @property
    def _drain_seconds(self) -> float:
        """How long a stop may wait for events in flight."""
        raise NotImplementedError


class StreamingApp(WorkerApp):
    """A Faust app with the driver's overrides and settings that are the same for every plugin.

    Its beacon is a root: a crash marks nothing outside as crashed.

    Args:
        app_id: the consumer group.
        broker: as Faust wants it.
        datadir: the worker's own; the tables are in its folder `tables`.
        partitions: how many the worker counts.
        membership: the worker's claim on `datadir`.
    """

    BootStrategy = BootStrategy

    def __init__(
        self,
        app_id: str,
        *,
        broker: str,
        datadir: Path,
        partitions: int,
        membership: Membership | None = None,
        **options: Any,
    ) -> None:
        self.tuning = Tuning()
        self.membership = membership or Membership(datadir)
        #: When offsets were last committed, in monotonic seconds.
        self.committed_at = 0.0
        self.pulse = Pulse()
        #: By topic, what answers its events as they are fetched (see `lanes`).
        self.answering: dict[str, Answering] = {}
        #: Those of them that are fetched before the others.
        self.answered_first: set[str] = set()
        #: What may be committed, and the one account of the events in flight.
        self.progress = Progress()
        self.lanes = Lanes(self, self.progress)
        #: The most of these events that one step answers, and the most that one fetch brings.
        self.most_at_once = MOST_AT_ONCE
        self.most_fetched = MOST_AT_ONCE
        #: The events a second from which on fetches wait longest; None = never.
        self.gathers_from: float | None = None
        #: Topics that the plugin reads.
        self.consumed: set[str] = set()
        #: Topics whose messages in flight no stop and no rebalance waits for: they come again.
        self.not_waited_for: frozenset[str] = frozenset()
        #: Opened before events flow, closed after them.
        self.lifetimes: Sequence[Service] = ()
        #: The name of its plugin, for the log; set by the host.
        self.plugin = ""
        #: What becomes of events that the plugin cannot handle; set by the host.
        self.failures: EventFailures
        self._deadline_seconds: float | None = None
        super().__init__(
            app_id,
            broker=broker,
            datadir=datadir,
            TableManager=Tables,
            Table=Table,
            topic_partitions=partitions,
            topic_disable_leader=True,
            broker_session_timeout=self.tuning.session_timeout_seconds,
            broker_heartbeat_interval=self.tuning.heartbeat_interval_seconds,
            broker_commit_interval=0.2,
            broker_max_poll_records=max_poll_records(partitions),
            consumer_auto_offset_reset="earliest",  # latest hangs recovery (#651)
            # A topic that was deleted and made again is found in seconds, not in five minutes.
            # So are partitions that were added to a topic.
            consumer_metadata_max_age_ms=METADATA_SECONDS * 1000,
            broker_client_id=client_id(partitions),
            # Records gather only while aiokafka has a request to their broker under way.
            producer_linger=0,
            producer_max_batch_size=BATCH_BYTES,
            producer_partitioner=partitioner,
            producer_max_request_size=DEAD_LETTER_MAX_BYTES,
            producer_request_timeout=10,  # a frozen broker is noticed; upstream's is 20 minutes
            stream_buffer_maxsize=BUFFER_MAXSIZE,
            stream_wait_empty=True,
            cython_optimizations=True,
            web_tables_enabled=False,
            web_stats_enabled=False,
            **options,
        )

    async def on_started(self) -> None:
        """Start to watch the worker, once it has a place in its group."""
        if self.tuning.shared:
            self.pulse.watch(self.tuning.silence_seconds)
        await super().on_started()

    @property
    def _drain_seconds(self) -> float:
        return self.tuning.drain_seconds

    async def on_stop(self) -> None:
        """Stop the consumer; after a crash its thread may end while the stop runs."""
        try:
            await super().on_stop()
        except RuntimeError as why:
            if not self.crashed:
                raise
            log.info("the consumer's thread ended before the stop: %r", why)

    async def on_shutdown(self) -> None:
        """Let the process live after a complete stop: another app can take this one's place."""
        await super().on_shutdown()
        self._end.disarm()

    def answer_by(self, deadline_seconds: float) -> None:
        """Have a stop wait as long as an event may take until it is answered."""
        self._deadline_seconds = deadline_seconds
        self.tune(self.tuning)

    def tune(self, tuning: Tuning) -> None:
        """Fit the settings to the broker, before the consumer starts."""
        if self._deadline_seconds is not None:
            # An event in flight may take that long, and its answer must be published. A rebalance
            # waits 60 s (Faust's) for a worker; a slower worker is taken for dead.
            drain_seconds = min(self._deadline_seconds + 2, LONGEST_DRAIN)
            tuning = dataclasses.replace(tuning, drain_seconds=drain_seconds)
        self.tuning = tuning
        self.conf.broker_session_timeout = tuning.session_timeout_seconds
        self.conf.broker_heartbeat_interval = tuning.heartbeat_interval_seconds
        self.conf.broker_request_timeout = tuning.request_timeout_seconds

    def join_as(self, name: str) -> None:
        """Join the group under a name (see `membership`), before the consumer starts."""
        self.conf.consumer_group_instance_id = name

    @cached_property
    def flow_control(self) -> FlowControl:
        """The gate before every agent's buffer."""
        return FlowControl(loop=self.loop)

    @property
    def has_consumer(self) -> bool:
        """Whether it reads topics: aiokafka refuses a consumer of none."""
        return bool(self.agents or self.answering)

    @property
    def consumer_exists(self) -> bool:
        """Whether the consumer was made: to ask for it makes it, with a loop of its own."""
        return self._consumer is not None

    def raw_topic(self, *names: str) -> Any:
        """Topics whose messages stay bytes: a typed topic crashes its agent on a malformed one."""
        return self.topic(
            *names, key_type=bytes, value_type=bytes, value_serializer="raw", allow_empty=True
        )

    def consume(
        self,
        topic: str,
        handle: Callable[[Any], Awaitable[None]],
        *,
        waited_for: bool = True,
    ) -> None:
        """Handle the messages of a topic one after the other; see `OneByOne.consume`.

        Args:
            topic: one of those that the plugin consumes.
            handle: takes a message with topic, partition, offset, key, value, headers.
            waited_for: whether a stop and a rebalance wait for the message in hand. If not, it
                comes again.
        """
        self.consumed.add(topic)
        if not waited_for:
            self.not_waited_for |= {topic}
        one_by_one = OneByOne(self, self.failures)

        async def agent(stream: Any) -> None:
            await one_by_one.consume(stream.noack().events(), handle)

        self.agent(self.raw_topic(topic), name=f"agents.{topic}")(agent)

    def answer_lists(  # noqa: PLR0913 - what a plugin may ask for its lists
        self,
        topics: Sequence[str],
        answering: "Answering",
        *,
        at_once: int = MOST_AT_ONCE,
        steps: int = 1,
        first: Sequence[str] = (),
        gathers_from: float | None = None,
        is_on: Callable[[], bool] | None = None,
    ) -> None:
        """Have events answered in the lists in which they are fetched; see `lanes`.

        Args:
            topics: of those that the plugin consumes.
            answering: answers them.
            at_once: how many events one step of the event loop may answer. All plugins of its
                process wait meanwhile: it should be done in 10 ms.
            steps: the most such steps for which one fetch brings events. Their answers leave
                together, in fuller batches, which cost worker and broker less for each answer.
            first: those of the topics whose events are taken before the others'. A quarter of what
                is taken at once is left to the others.
            gathers_from: from how many events a second on fetches wait some milliseconds for more
                (`pace`); None if a till waits for the answers.
            is_on: while it says False, events wait in the topics.
        """
        self.consumed.update(topics)
        self.most_at_once = min(at_once, self.most_at_once)
        self.most_fetched = self.most_at_once * steps
        self.answering |= dict.fromkeys(topics, answering)
        self.answered_first.update(first)
        self.gathers_from = gathers_from
        if is_on is not None:
            self.lanes.answer_while(topics, is_on)
        self.topics.add(self.raw_topic(*topics))

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)


def install_event_loop() -> None:
    """Make uvloop the event loop and the garbage collector rare, before Faust."""
    if sys.platform != "win32":
        import uvloop

        uvloop.install()
    collect_garbage_rarely()
