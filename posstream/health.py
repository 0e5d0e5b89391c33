"""Is this worker alive, is it ready? Read off Faust's state, honest during recovery."""

import logging
from typing import Any, Final

from agents.customer_lookup.events import MAX_DEADLINE_MS
from posstream.dead_letters.setting_aside import DeadLetters
from posstream.domain.errors import Stalled
from posstream.streaming.co_partitioning import CoPartitioning
from posstream.streaming.stall import StallWatch
from posstream.streaming.transactions import TransactionWatch
from web.health import HealthReport

log = logging.getLogger(__name__)

#: Longer than any event may take. Upstream's consumer has stalled (faust-streaming#523, #532,
#: #596); the cure is a restart.
STALLED_SECONDS: Final = MAX_DEADLINE_MS // 1000 + 30


class WorkerHealth:
    """`web.health.Health` of one Faust app."""

    def __init__(
        self,
        app: Any,
        dead_letters: DeadLetters,
        stall_watch: StallWatch,
        transaction_watch: TransactionWatch,
        co_partitioning: CoPartitioning,
    ) -> None:
        self._app = app
        self._transaction_watch = transaction_watch
        self._co_partitioning = co_partitioning
        self._misfit: str | None = None
        self._stall_watch = stall_watch
        self._dead_letters = dead_letters

    def live(self) -> HealthReport:
        """Alive until it crashed or stalled: then a supervisor should start it again."""
        reasons = []
        if self._app.crashed:
            reasons.append("the worker crashed")
        if self._stalled:
            reasons.append(f"events wait, and nothing was committed for {STALLED_SECONDS} s")
        return HealthReport(not reasons, tuple(reasons), {})

    @property
    def _stalled(self) -> bool:
        return (
            self._stall_watch.stalled is not None
            or self._app.lanes.commit_age_seconds() > STALLED_SECONDS
        )

    async def watch(self) -> None:
        """Stop the worker if it has stalled: some supervisors do not check health."""
        self._dead_letters.report()
        self._transaction_watch.look()
        self._stall_watch.look()
        before, self._misfit = self._misfit, self._co_partitioning.misfit
        if self._misfit not in (None, before):
            log.error("%s", self._misfit)
        if self._stalled:
            await self._app.crash(Stalled(f"nothing was committed for {STALLED_SECONDS} s"))

    def ready(self) -> HealthReport:
        """Ready once it has partitions and their tables are recovered."""
        app = self._app
        reasons = []
        if app.crashed or app.should_stop:
            reasons.append("the worker is stopping")
        if app.rebalancing:
            reasons.append("the consumer group is rebalancing")
        elif not app.tables.actives_ready:
            reasons.append("the tables are being recovered")
        warnings = (
            self._dead_letters.alarm,
            *self._transaction_watch.warnings,
            self._co_partitioning.misfit,
        )
        return HealthReport(
            not reasons,
            (*reasons, *filter(None, warnings)),
            {"rebalances": app.rebalancing_count},
        )
