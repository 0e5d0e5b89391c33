"""Watches which brokers of the cluster are there, for the log, metrics and health."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Final

from aiokafka.protocol.metadata import MetadataRequest

from posstream.kafka.connection import answering, asking
from posstream.kafka.security import Brokers
from posstream.resilience.clock import Clock
from posstream.resilience.tasks import stop_task

log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 1.0
#: How long no broker may answer before the cluster counts as away. Each question goes to any
#: broker, so it may go to one that has just died while the others are there.
_AWAY_SECONDS: Final = 10.0
#: A broker that was away for this long counts as taken out of the cluster.
_FORGOTTEN_SECONDS: Final = 3600.0


class BrokerWatch:
    """Asks the cluster every few seconds which brokers it has.

    Logs when the cluster or one of its brokers goes away, and when it is back.

    Args:
        servers: host:port of the brokers.
        clock: time.
    """

    def __init__(self, servers: Brokers, clock: Clock) -> None:
        self._servers = servers
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        #: Every broker that was seen -> when it was seen last, in monotonic seconds.
        self._seen: dict[str, float] = {}
        self._there: frozenset[str] = frozenset()
        self._answered_at = clock.monotonic()
        self._is_away = False

    @property
    def count(self) -> int:
        """How many brokers are there."""
        return 0 if self._is_away else len(self._there)

    @property
    def warnings(self) -> Sequence[str]:
        """A sentence for each thing that is wrong with the cluster."""
        if self._is_away:
            return ["no broker answers: events wait"]
        return [f"the broker {name} is away" for name in sorted(self._seen.keys() - self._there)]

    async def open(self) -> None:
        """Watch from now on."""
        self._task = asyncio.create_task(self._watch(), name="broker watch")

    async def close(self) -> None:
        """Watch no more. Idempotent."""
        task, self._task = self._task, None
        await stop_task(task)

    def take(self, there: Iterable[str]) -> None:
        """Note the brokers that are there now."""
        now, before, self._there = self._clock.monotonic(), self._there, frozenset(there)
        if self._is_away:
            log.warning("the brokers are back after %.0f s", now - self._answered_at)
        for name in sorted(before - self._there):
            log.warning("the broker %s is away; %d left", name, len(self._there))
        for name in sorted(self._there - before):
            if name in self._seen:
                log.warning("the broker %s is back after %.0f s", name, now - self._seen[name])
        self._is_away, self._answered_at = False, now
        seen = self._seen | dict.fromkeys(self._there, now)
        self._seen = {it: at for it, at in seen.items() if now - at < _FORGOTTEN_SECONDS}

    def miss(self, why: str) -> None:
        """Note that the cluster did not answer."""
        seconds = self._clock.monotonic() - self._answered_at
        if not self._is_away and seconds >= _AWAY_SECONDS:
            self._is_away = True
            log.error("no broker has answered for %.0f s (%s): events wait", seconds, why)

    async def _watch(self) -> None:
        while True:
            try:
                async with answering(self._servers), asking(self._servers) as client:
                    while True:
                        async with asyncio.timeout(_AWAY_SECONDS):
                            node = client.get_random_node()
                            # Of no topic: a cluster may have ten thousand.
                            found = await client.send(node, MetadataRequest([]))
                        self.take(f"{host}:{port}" for _, host, port, *_ in found.brokers)
                        await asyncio.sleep(_LOOK_SECONDS)
            except Exception as why:  # noqa: BLE001 - nobody watches this task
                self.miss(str(why) or "it takes too long")
            await asyncio.sleep(_PAUSE_SECONDS)
