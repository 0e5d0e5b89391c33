"""The tables of an app: they start at once, and brokers that let them wait too long end the worker.

Upstream takes a time-out of its own calls for a stop. Its recovery ends, later rebalances start no
other one, and the worker stays alive for ever without any work.
"""

from typing import Any

from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery as FaustRecovery
from faust.tables.recovery import ServiceStopped
from faust.types import TP

from posstream.domain.errors import BrokerUnreachable


class Recovery(FaustRecovery):
    """Faust's recovery of tables; a time-out crashes the app."""

    async def _wait(self, coro: Any, timeout: Any = None) -> None:  # noqa: ASYNC109 - upstream's
        try:
            await super()._wait(coro, timeout=timeout)
        except ServiceStopped:
            if not self.should_stop:
                await self.app.crash(
                    BrokerUnreachable(f"no answer within {timeout} s while tables are recovered")
                )
            raise

    def _add(self, table: Any, tp: TP, offsets: Any) -> None:
        """Start at the store's offset; upstream keeps an old one if the store was rebuilt."""
        self.tp_to_table[tp] = table
        offsets[tp] = table.persisted_offset(tp)


class Tables(TableManager):
    """The tables of an app."""

    _recovery: FaustRecovery | None

    async def on_start(self) -> None:
        """Start the tables; upstream waits a second first, for tables that agents may yet declare.

        Here a plugin declares all its tables when it is built.
        """
        await self._update_channels()
        await self.recovery.start()

    @property
    def recovery(self) -> FaustRecovery:
        """The service that recovers the tables."""
        if self._recovery is None:
            self._recovery = Recovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery
