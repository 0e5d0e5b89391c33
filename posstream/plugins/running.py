"""One plugin as it runs on this worker: its app, what it built, and the watch over its app."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from posstream.dead_letters.setting_aside import DeadLetters
from posstream.domain.errors import Stalled
from posstream.findings import (
    DEAD_LETTERS,
    DEAD_LETTERS_FLOOD,
    EVENTS_STAND_STILL,
    PARTITIONS_MISFIT,
    TRANSACTION_HANGS,
    Finding,
    found,
)
from posstream.plugin import Built, Plugin
from posstream.resilience.clock import Clock
from posstream.streaming.app import StreamingApp
from posstream.streaming.co_partitioning import CoPartitioning
from posstream.streaming.stall import STALLED, STALLED_SECONDS, StallWatch, TransactionWatch

log = logging.getLogger(__name__)


class PluginWatch:
    """Stops one plugin's app if the app stalls, and tells what is wrong while it runs.

    Args:
        app: the plugin's.
        plugin: its topics and tables are watched.
        dead_letters: the plugin's.
        clock: time.
        partitions: how many the worker counts.
    """

    def __init__(
        self,
        app: StreamingApp,
        plugin: Plugin,
        dead_letters: DeadLetters,
        *,
        clock: Clock,
        partitions: int,
    ) -> None:
        self._app = app
        self._plugin = plugin.name
        self._dead_letters = dead_letters
        # Topics that are answered in lists must move on, or the app is stopped. Agents of other
        # topics may wait for a database: a stop would not help, so there is only a warning.
        self._stall = StallWatch(app, app.answering, clock=clock)
        self._waiting = StallWatch(app, {*plugin.consumes}.difference(app.answering), clock=clock)
        self._transactions = TransactionWatch(app, plugin.consumes, clock=clock)
        self._tables = [CoPartitioning(app, it, partitions=partitions) for it in plugin.tables]
        self._told: list[Finding] = []

    @property
    def held_back(self) -> int:
        """Records behind open transactions."""
        return self._transactions.held_back

    @property
    def is_stalled(self) -> bool:
        """Whether events wait, and none is finished; not while a table of theirs is frozen."""
        return bool(self._stall.stalled) and not any(it.is_frozen for it in self._tables)

    @property
    def findings(self) -> Sequence[Finding]:
        """What is wrong while the plugin runs."""
        return [
            *self._letters(),
            *(found(TRANSACTION_HANGS, it) for it in self._transactions.warnings),
            *self._wrong(),
        ]

    async def look(self) -> None:
        """Stop the app if it has stalled: some supervisors don't check health."""
        if not self._app.has_consumer:
            return
        self._dead_letters.report()
        self._transactions.look()
        self._stall.look()
        self._waiting.look()
        before, self._told = self._told, self._wrong()
        for wrong in self._told:
            if wrong not in before:
                log.error("%s", wrong.sentence, extra={"plugin": self._plugin})
        if self.is_stalled:
            await self._app.crash(Stalled(STALLED))

    def _letters(self) -> Sequence[Finding]:
        if (alarm := self._dead_letters.alarm) is not None:
            return [found(DEAD_LETTERS_FLOOD, alarm)]
        if not (count := self._dead_letters.last_hour):
            return []
        said = "1 message of the last hour is a dead letter"
        if count > 1:
            said = f"{count:,} messages of the last hour are dead letters"
        return [found(DEAD_LETTERS, said)]

    def _wrong(self) -> list[Finding]:
        return [
            *(found(PARTITIONS_MISFIT, it.misfit) for it in self._tables if it.misfit is not None),
            *(
                found(
                    EVENTS_STAND_STILL,
                    f"events of {topic} wait, and none was handled for {STALLED_SECONDS} s",
                )
                for topic in self._waiting.stalled
            ),
        ]


@dataclass(frozen=True, slots=True)
class RunningPlugin:
    """A plugin that was built, from its start until it is built anew."""

    app: StreamingApp
    built: Built
    watch: PluginWatch
