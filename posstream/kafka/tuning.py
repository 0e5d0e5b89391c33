"""How consumers fetch: waits, sessions, how long a stop may take, and how many records at once."""

from dataclasses import dataclass, replace
from typing import Final

from posstream.kafka.topics import EMBEDDED_CLUSTER

#: One full buffer stalls every agent of the worker, and a buffer calls itself full at 80 %, so
#: one fetch of every partition of an agent's topic must fit in the other 20 %.
BUFFER_MAXSIZE: Final = 65_536
#: Of one partition, for an agent.
MAX_POLL_RECORDS: Final = 250
#: The most bytes in a batch of a producer, unless its first record alone is longer.
BATCH_BYTES: Final = 262_144
#: For a projection that is behind: the most events in one transaction. A page is written once for a
#: transaction, however many of its rows change: with 800,000 answers in plain `sqlite3` a row took
#: 39 us of CPU and 10 KB of writes in transactions of 20,000, and 70 us and 30 KB in those of 4,000
#: (one run each).
MAX_BATCH: Final = 16_000
#: The most bytes of events in one transaction, by `projector.weight`: this bounds its memory.
MAX_BATCH_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Tuning:
    """What depends on the broker at hand. Defaults are for Apache Kafka in production."""

    fetch_wait_ms: int = 500
    #: The same when no record came for some seconds.
    quiet_fetch_wait_ms: int = 500
    #: How long a fetch waits for a record of a topic that has few, such as live configuration.
    rare_fetch_wait_ms: int = 1000
    #: Whether a busy consumer waits some milliseconds for more records; see `patches.pace`.
    gathers: bool = True
    probe_watermarks: bool = False
    #: Whether other workers may take over; the embedded broker has one, and is frozen with it.
    shared: bool = True
    #: Whether the broker takes an idempotent producer: a record that is sent twice is written once.
    idempotent: bool = True
    #: How long an acknowledgement is waited for before the worker crashes; Kafka's own clients
    #: wait as long.
    delivery_seconds: float = 120
    #: How long the broker waits for a silent worker before others get its partitions.
    session_timeout_seconds: float = 30
    #: How long a stop or a rebalance waits for events in flight.
    drain_seconds: float = 14
    #: How long a changelog keeps deletions; Kafka's default.
    tombstones_ms: int = 86_400_000

    @property
    def background_wait_ms(self) -> int:
        """The fetch wait of projections."""
        return max(self.fetch_wait_ms, 250)

    @property
    def quiet_background_wait_ms(self) -> int:
        """The same when no record came for some seconds."""
        return max(self.quiet_fetch_wait_ms, 500)

    @property
    def heartbeat_interval_seconds(self) -> float:
        """Ten beats fit into the session timeout; one a second is enough for any."""
        return max(1, self.session_timeout_seconds / 10)

    @property
    def silence_seconds(self) -> float:
        """How long a process may be frozen: its session counts from the last beat."""
        return self.session_timeout_seconds - self.heartbeat_interval_seconds - 1

    @property
    def request_timeout_seconds(self) -> float:
        """Upstream's 90, or more: its driver refuses a session that is longer than a request."""
        return max(90, self.session_timeout_seconds + 10)


#: The embedded broker makes a join wait half the session timeout; see `patches.consumer_thread`.
EMBEDDED_TUNING: Final = Tuning(
    fetch_wait_ms=50,
    quiet_fetch_wait_ms=250,
    gathers=False,
    probe_watermarks=True,
    shared=False,
    idempotent=False,
    session_timeout_seconds=2,
)


def tuning_for(cluster: str | None, session_timeout_seconds: float | None) -> Tuning:
    """The tuning for a broker.

    Args:
        cluster: the cluster's id.
        session_timeout_seconds: the setting; None = as the broker needs it.
    """
    tuning = EMBEDDED_TUNING if cluster == EMBEDDED_CLUSTER else Tuning()
    if session_timeout_seconds is None:
        return tuning
    return replace(tuning, session_timeout_seconds=session_timeout_seconds)


def max_poll_records(partitions: int) -> int:
    """How many records of one partition a fetch may bring."""
    return max(1, min(MAX_POLL_RECORDS, BUFFER_MAXSIZE // 5 // partitions))
