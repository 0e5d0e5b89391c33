"""Tells the observations on this worker which customers were forgotten.

The marks of forgotten customers are on a topic of the platform. A mark names its customer by a
hash, so each owner of groups looks itself which of them the mark means.
"""

import logging
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import orjson

from agents.fraud_detection.topics import OBSERVATIONS
from posstream.domain.times import from_ms
from posstream.forgetting.marks import Marks
from posstream.forgetting.record import read_mark
from posstream.json.reading import read_json
from posstream.kafka.reader import GrouplessReader
from posstream.kafka.security import Brokers
from posstream.kafka.topics import CUSTOMER_FORGOTTEN
from posstream.resilience.clock import Clock

log = logging.getLogger(__name__)

#: No observation is older than its changelog keeps it, so an older mark means none.
_MATTERS: Final = timedelta(milliseconds=OBSERVATIONS.changelog.retention_ms)


class ObservationsOfCustomer(Protocol):
    """The observations that this worker owns, as far as forgetting goes."""

    async def forget(self, marks: Marks) -> None:
        """Remove what is from before the marks.

        A group of a customer (its key has the customer_id) goes with its key. The observations of
        other groups lose the customer's id and identifier, and stay. Idempotent; groups that come
        to this worker later are looked at by `ForgottenCustomers.marks`.
        """
        ...


class ForgottenCustomers:
    """Follows the topic of marks for as long as events flow.

    Args:
        servers: host:port of each broker.
        observations: are told of new marks. A mark is told again until they took it.
        clock: time.
    """

    def __init__(
        self, servers: Brokers, observations: ObservationsOfCustomer, *, clock: Clock
    ) -> None:
        self._reader = GrouplessReader(servers, CUSTOMER_FORGOTTEN)
        self._observations = observations
        self._clock = clock
        self._known: dict[str, datetime] = {}
        #: Those that the observations have not taken yet.
        self._new: dict[str, datetime] = {}

    @property
    def marks(self) -> Marks:
        """Every mark that may mean an observation."""
        since = from_ms(self._clock.now_ms()) - _MATTERS
        self._known = {name: at for name, at in self._known.items() if at > since}
        return Marks(self._known)

    async def open(self, *, fetch_wait_ms: int) -> None:
        """Read the marks up to now, and follow the topic from there.

        Args:
            fetch_wait_ms: how long the broker may hold a fetch back.

        Raises:
            BrokerUnreachable: if the topic cannot be read.
        """
        await self._reader.catch_up(self._take, fetch_wait_ms=fetch_wait_ms)
        self._reader.follow(self._follow, name="forgotten customers")

    async def close(self) -> None:
        """Stop following. Idempotent."""
        await self._reader.close()

    async def _follow(self) -> None:
        if self._new:
            await self._observations.forget(Marks(dict(self._new)))
            self._new.clear()
        for record in await self._reader.fetch():
            self._take(record)

    def _take(self, record: Any) -> None:
        mark = _read(record.value)
        if mark is None:
            log.warning("skipped a record of %s: it is no mark", CUSTOMER_FORGOTTEN)
            return
        subject, at = mark
        since = from_ms(self._clock.now_ms()) - _MATTERS
        if at > max(since, self._known.get(subject, since)):
            self._known[subject] = self._new[subject] = at


def _read(value: bytes | None) -> tuple[str, datetime] | None:
    try:
        document = read_json(value or b"")
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None
    mark = read_mark(document) if isinstance(document, dict) else None
    return None if mark is None else (mark["subject"], mark["forgotten_at"])
