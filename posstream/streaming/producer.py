"""A producer that waits while brokers are away, and writes each record once.

aiokafka gives a batch no longer than one request may take, and what it sends again after a lost
acknowledgement is written twice. Here a request may take some seconds, so that a frozen broker is
noticed, and a batch waits until it is written, so that a restart of brokers or an election is
waited out. Whoever needs an acknowledgement says how long (see `adapters.publisher`). A batch that
was given up would leave a gap in the numbers by which the broker knows repeats, and it would
refuse all later ones.
"""

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable
from typing import Any, Final

from faust.transport.drivers import aiokafka as faust_driver

#: What a flush may take. Events are acknowledged after their answers are, so only changelog
#: records (a cache) can be left.
_FLUSH_SECONDS: Final = 5


class Producer(faust_driver.Producer):
    """The producer of the worker."""

    def _settings_extra(self) -> dict[str, Any]:
        return {"enable_idempotence": self.app.tuning.idempotent}

    def _new_producer(self, transactional_id: str | None = None) -> Any:
        producer = super()._new_producer(transactional_id)
        # What a record may wait for a place in a batch, and the batch until it is written.
        producer._request_timeout_ms = self.app.tuning.delivery_seconds * 1000  # noqa: SLF001 - no public way
        producer._message_accumulator._batch_ttl = math.inf  # noqa: SLF001 - no public way
        return producer

    async def flush(self) -> None:
        """Wait for what is on its way, but not for as long as brokers may be away."""
        await _briefly(super().flush)

    async def on_stop(self) -> None:
        """Stop, whether or not brokers are there to take the rest."""
        await _briefly(super().on_stop)


async def _briefly(what: Callable[[], Awaitable[None]]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_FLUSH_SECONDS):
            await what()
