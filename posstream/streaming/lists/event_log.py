"""At DEBUG, one line for each event that an app takes; asked once for each fetched list."""

import logging
from collections.abc import Container, Sequence
from typing import Any

from faust.types import TP

from posstream.tracing.context import trace_id, traceparent

log = logging.getLogger(__name__)


def tell(plugin: str, tp: TP, records: Sequence[Any], begun: Container[int]) -> None:
    """Tell each event of a list, if that is wanted.

    Args:
        plugin: who takes them.
        tp: where they come from.
        records: aiokafka's.
        begun: the offsets of those that need to wait for something.
    """
    if not log.isEnabledFor(logging.DEBUG):
        return
    for record in records:
        how = "begun" if record.offset in begun else "done at once"
        about = {"plugin": plugin, "trace_id": trace_id(traceparent(record.headers))}
        log.debug("%s/%d/%d: %s", *tp, record.offset, how, extra=about)
