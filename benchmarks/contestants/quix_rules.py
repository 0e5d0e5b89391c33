"""Quix Streams with two rules of fraud detection, as sliding windows over the tills' events.

The events come under the key of their till, so that nothing is to be written again under another
key. A window is kept as long as an event may be late. Quix Streams tells of each window at each
event of it, has no cooldown, and counts an event that comes twice twice.
"""

import sys
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from quixstreams import Application
from quixstreams.dataframe.windows import aggregations
from quixstreams.kafka import ConnectionConfig

from benchmarks.connecting import by_librdkafka
from benchmarks.fraud_rules import ITEMS_LIMIT, ITEMS_MS, TAKINGS_LIMIT, TAKINGS_MS
from tests.till_day import MOST_LATE_MS

_TUNED: Final[dict[str, Any]] = {
    "commit_interval": 1.0,
    "consumer_extra_config": {
        "queued.min.messages": 200_000,
        "fetch.message.max.bytes": 4 * 1024 * 1024,
    },
    "producer_extra_config": {"linger.ms": 20},
}


def run(servers: str, source: str, alerts: str, group: str, state: str) -> None:
    """Judge until the process is ended."""
    app = Application(
        ConnectionConfig.from_librdkafka_dict(by_librdkafka(servers)),
        consumer_group=group,
        auto_offset_reset="earliest",
        state_dir=Path(state),
        loglevel="WARNING",
        **_TUNED,
    )
    raised = app.topic(alerts)
    said = app.dataframe(app.topic(source, timestamp_extractor=_occurred))
    (
        said.filter(lambda it: it["event_type"] == "ITEM_ADDED")
        .sliding_window(ITEMS_MS, grace_ms=MOST_LATE_MS, name="items")
        .agg(value=aggregations.Count())
        .current()
        .filter(lambda it: it["value"] >= ITEMS_LIMIT)
        .to_topic(raised)
    )
    (
        said.filter(lambda it: it["event_type"] == "PAYMENT_COMPLETED")
        .apply(lambda it: int(it["amount"].replace(".", "")))
        .sliding_window(TAKINGS_MS, grace_ms=MOST_LATE_MS, name="takings")
        .agg(value=aggregations.Sum())
        .current()
        .filter(lambda it: it["value"] >= TAKINGS_LIMIT * 100)
        .to_topic(raised)
    )
    app.run()


def _occurred(value: Any, *_: Any) -> int:
    return round(datetime.fromisoformat(value["occurred_at"]).timestamp() * 1000)


if __name__ == "__main__":
    run(*sys.argv[1:])
