"""The open connections of the web view: how many there may be, and how long each may wait.

A connection that waits for its client for too long is ended. When there is no room for a new
connection, those that have waited longest for their clients give way. So a client that sends
nothing, or half a request, or does not read, keeps nobody out. A connection whose request is being
answered, and an open stream, never give way.
"""

import asyncio
import ipaddress
import logging
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from posstream.metrics import Metrics, one_of, show
from posstream.resilience.clock import Clock
from posstream.resilience.rate_limit import RateLimit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from web.http.runner import Connection

logger = logging.getLogger(__name__)

#: The share of the process's open files that the web view may use: the rest is for the
#: directory, the broker, the read model and RocksDB.
OPEN_FILES_SHARE: Final = 4
#: Answers of all connections that wait in memory for clients to read them.
MAX_UNREAD_BYTES: Final = 64 * 1024 * 1024
#: When a client has read this much of a long answer, its time begins again.
PROGRESS_BYTES: Final = 64 * 1024
#: One in this many waiting connections gives way at a time, so that searches are rare.
_GIVE_WAY_SHARE: Final = 20
#: How often waiting connections are looked at, in seconds.
_LOOK_SECONDS: Final = 1.0
#: Time after a search that found no waiting connection until the next one, in seconds.
_PAUSE_SECONDS: Final = 0.1
_MINUTE: Final = 60.0


class Wait(StrEnum):
    """What a connection waits for; the value is the label of the metric."""

    REQUEST = "no_request"
    HEADER = "half_header"
    BODY = "half_body"
    READER = "not_read"


#: How long a connection may wait for its client, in seconds.
WAIT_SECONDS: Final = {Wait.REQUEST: 75.0, Wait.HEADER: 10.0, Wait.BODY: 30.0, Wait.READER: 20.0}
#: How long for its first request. Proxies open a connection when they have one to send.
FIRST_REQUEST_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections, how long they may wait, and how much may wait in them."""

    in_all: int = 2000
    #: Clients behind one proxy have one address.
    by_address: int = 1000
    wait_seconds: dict[Wait, float] = field(default_factory=lambda: dict(WAIT_SECONDS))
    first_request_seconds: float = FIRST_REQUEST_SECONDS
    unread_bytes: int = MAX_UNREAD_BYTES
    look_seconds: float = _LOOK_SECONDS


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a connection waits for from its client, and since when."""

    wait: Wait
    #: In seconds of the event loop.
    since: float
    #: Whether its first request has not come.
    is_new: bool = False


class Connections:
    """The connections of one web view. For one event loop."""

    def __init__(
        self, metrics: Metrics, clock: Clock, limits: ConnectionLimits | None = None
    ) -> None:
        self._metrics = metrics
        show(metrics.web_connections_ended, one_of([*Wait, "replaced", "refused"]))
        self._limits = limits or ConnectionLimits()
        self._most = self._limits.in_all
        self._open: dict[Connection, str] = {}
        self._by_address: Counter[str] = Counter()
        #: Those whose clients do not read, the longest one first -> how much waits there.
        self._unread: dict[Connection, int] = {}
        self._may_log = RateLimit(clock, 1, per_seconds=_MINUTE)
        self._looking: asyncio.Task[None] | None = None
        #: No search for waiting connections before this time: the last search found none.
        self._busy_until = 0.0

    def start(self, open_files: int) -> None:
        """Begin to look at how long connections wait.

        Args:
            open_files: how many the process may have; a share of them is the view's.
        """
        self._most = min(self._limits.in_all, max(1, open_files // OPEN_FILES_SHARE))
        if self._most < self._limits.in_all:
            logger.warning(
                "the web view takes %d connections, not %d: the process may open %d files",
                self._most, self._limits.in_all, open_files,
            )  # fmt: skip
        self._looking = asyncio.create_task(self._look())

    def stop(self) -> None:
        """Stop looking."""
        if self._looking is not None:
            self._looking.cancel()

    def admit(self, connection: "Connection") -> bool:
        """Whether a new connection may stay; others may have to give way."""
        network = network_of(connection.address)
        same = self._by_address[network]
        if same >= self._limits.by_address:
            mine = [one for one, its in self._open.items() if its == network]
            room = self._make_room(mine, connection.address)
        elif len(self._open) >= self._most:
            room = self._make_room(self._open, connection.address)
        else:
            room = True
        if not room:
            self._metrics.web_connections_ended.labels("refused").inc()
            return False
        self._open[connection] = network
        self._by_address[network] += 1
        self._metrics.web_connections.set(len(self._open))
        return True

    def forget(self, connection: "Connection") -> None:
        """Stop counting a connection; does nothing for one that was not admitted."""
        self._unread.pop(connection, None)
        network = self._open.pop(connection, None)
        if network is None:
            return
        self._by_address[network] -= 1
        if not self._by_address[network]:
            del self._by_address[network]
        self._metrics.web_connections.set(len(self._open))

    def unread(self, connection: "Connection") -> None:
        """Note that a client does not read its answer; end others if too much waits in memory."""
        self._unread[connection] = connection.unread_bytes
        while sum(self._unread.values()) > self._limits.unread_bytes and len(self._unread) > 1:
            self._end(next(iter(self._unread)), Wait.READER)

    def read(self, connection: "Connection") -> None:
        """Note that a client reads its answer again."""
        self._unread.pop(connection, None)

    def look(self) -> None:
        """End the connections that have waited too long."""
        now = asyncio.get_running_loop().time()
        for connection in list(self._open):
            waiting = connection.waiting()
            if waiting is not None and now - waiting.since >= self._seconds(waiting):
                self._end(connection, waiting.wait)

    def _seconds(self, waiting: Waiting) -> float:
        if waiting.wait is Wait.REQUEST and waiting.is_new:
            return self._limits.first_request_seconds
        return self._limits.wait_seconds[waiting.wait]

    def _make_room(self, among: "Iterable[Connection]", address: str) -> bool:
        """End those that have waited longest for their clients; False if none waits."""
        now = asyncio.get_running_loop().time()
        if now < self._busy_until:
            return False
        opened, same = len(self._open), self._by_address[network_of(address)]
        every = [(waiting, one) for one in among if (waiting := one.waiting()) is not None]
        every.sort(key=lambda it: it[0].since)
        ended = every[: max(1, len(every) // _GIVE_WAY_SHARE)]
        if not ended:
            self._busy_until = now + _PAUSE_SECONDS
        for waiting, connection in ended:
            self._end(connection, waiting.wait, why="replaced")
        if self._may_log.allows():
            logger.warning(
                "the web view has %d connections, %d of them from the newest's address, %s: %s",
                opened, same, address,
                "those that wait for their clients give way" if ended else "more are refused",
            )  # fmt: skip
        return bool(ended)

    def _end(self, connection: "Connection", wait: Wait, *, why: str | None = None) -> None:
        self._metrics.web_connections_ended.labels(why or wait.value).inc()
        self.forget(connection)
        connection.end(wait)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._limits.look_seconds)
            self.look()


def network_of(address: str) -> str:
    """The network for which an address counts: one host has 2^64 IPv6 addresses to choose from."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4:  # noqa: PLR2004 - IPv4
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))
