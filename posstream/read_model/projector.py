"""Carries outgoing events into the read model, in the lists in which they are fetched.

Off the lookup path: a slow database delays the view, never a till. A list that fails is tried
again for as long as it takes; nothing more of these topics is fetched meanwhile. What the database
would refuse for ever is no such failure: the projection itself skips it.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final

import orjson
from faust.types import TP

from agents.customer_lookup.topics import PROJECTED
from posstream.json.reading import read_json_exactly
from posstream.read_model.projection import ProjectedEvent, Projection
from posstream.resilience.retry import growing_pauses

log = logging.getLogger(__name__)

#: No event that posstream writes is as long, nor one that Kafka takes with its own settings.
_MOST_BYTES: Final = 2 * 1024 * 1024


class ProjectionAgent:
    """Consumes `topics.PROJECTED`. One per app."""

    def __init__(self, app: Any, *, projection: Projection) -> None:
        self._projection = projection
        app.take_lists(PROJECTED, self.project)

    async def project(self, records: Sequence[tuple[TP, Any]]) -> None:
        """Write records; returns only when they are written."""
        read = [projected(tp, record) for tp, record in records]
        await self._apply([event for event in read if event is not None])

    async def _apply(self, events: Sequence[ProjectedEvent]) -> None:
        for pause in growing_pauses():
            try:
                await self._projection.apply(events)
            except Exception as why:
                log.warning(
                    "the read model did not take %d events (%s); again in %g s",
                    len(events),
                    type(why).__name__,
                    pause,
                    exc_info=log.isEnabledFor(logging.DEBUG),
                )
                await asyncio.sleep(pause)
            else:
                return


def projected(tp: TP, record: Any) -> ProjectedEvent | None:
    """What the projection needs of a record; None, and a line in the log, if it is no event."""
    place = f"{tp.topic}/{tp.partition}/{record.offset}"
    text = record.value or b""
    if len(text) > _MOST_BYTES:  # compressed it was a thousandth; read, it is ten times as much
        log.warning("not projected: %s is longer than %d bytes", place, _MOST_BYTES)
        return None
    try:
        value = read_json_exactly(text)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        value = None
    if not isinstance(value, dict):
        log.warning("not projected: %s is no JSON object", place)
        return None
    return ProjectedEvent(tp.topic, value, place)
