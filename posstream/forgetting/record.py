"""What is written on the topic of forgotten subjects. No I/O."""

import orjson

from posstream.domain.times import iso_utc_ms
from posstream.events.envelope import event_record
from posstream.events.ids import derived
from posstream.forgetting.marks import Forgotten
from posstream.kafka.record import Record
from posstream.kafka.topics import CUSTOMER_FORGOTTEN


def forgotten(mark: Forgotten) -> Record:
    """The mark of a forgotten identifier or customer; of one subject the last one counts."""
    event_id = derived(f"forgotten/{mark.subject}/{mark.forgotten_at_ms}")
    value = {
        "event_id": event_id,
        "event_type": "CUSTOMER_FORGOTTEN",
        "schema_version": 1,
        "subject": mark.subject,
        "forgotten_at": iso_utc_ms(mark.forgotten_at_ms),
        "cache_entries": mark.cache_entries,
    }
    return event_record(
        CUSTOMER_FORGOTTEN,
        mark.subject,
        event_id,
        "CUSTOMER_FORGOTTEN",
        mark.forgotten_at_ms,
        orjson.dumps(value),
        source=b"/posstream/forgetting",
    )
