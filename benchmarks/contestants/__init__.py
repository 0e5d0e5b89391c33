"""Who takes part: posstream's peers, each a process of its own that does the same job.

They read `customer-identified` events, find the customer by the identifier, and write the answer
under its basket to a topic of their own. Offsets are committed after the answers are acknowledged
(at-least-once), unless a contestant says otherwise.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Contestant:
    """One of them."""

    #: Its module in this package.
    module: str
    #: What it is called in tables.
    title: str
    #: Of the events that posstream gets; slow ones get fewer, for the same seconds.
    share: float
    arguments: tuple[str, ...] = ()
    #: Its state is filled by events that tell of customers, not when it starts.
    fills_by_events: bool = False
    #: What one has to know of it.
    note: str = ""

    @property
    def is_framework(self) -> bool:
        """Whether it is another stream processor, and not a loop that shows a limit."""
        return self.module in {"naive_faust", "quix", "faststream"}

    @property
    def name(self) -> str:
        """What it is called on the command line and in results."""
        return "_".join((self.module, *(it.removeprefix("--") for it in self.arguments)))


_LOOPS: Final = (
    Contestant("plain_aiokafka", "plain aiokafka loop", 0.35, note="`send` for each event"),
    Contestant("batch_aiokafka", "aiokafka in batches", 0.7, note="`send_batch`: the fair limit"),
    Contestant("confluent", "confluent-kafka loop", 0.7, note="librdkafka"),
)

#: Everybody but posstream.
PEERS: Final = (
    *_LOOPS,
    *(
        Contestant(
            it.module,
            f"{it.title}, bare",
            it.share * 1.5,
            ("--bare",),
            note="no ids, no headers: not the whole job",
        )
        for it in _LOOPS
    ),
    Contestant(
        "naive_faust",
        "naive Faust agent",
        0.03,
        fills_by_events=True,
        note="a typed topic, a table, `await topic.send`, defaults",
    ),
    Contestant("quix", "Quix Streams", 0.3, fills_by_events=True, note="defaults"),
    Contestant(
        "quix",
        "Quix Streams, tuned",
        0.3,
        ("--tuned",),
        fills_by_events=True,
        note="commits every 10 s, larger fetches and batches, the customer spliced as bytes",
    ),
    Contestant(
        "faststream",
        "FastStream",
        0.02,
        note="`max_workers=50`: at-most-once, it commits what it has not answered",
    ),
    Contestant(
        "seed_design",
        "a synchronous consumer with a SQL cache",
        0.007,
        note="what posstream was at first",
    ),
)

BY_NAME: Final = {it.name: it for it in PEERS}
