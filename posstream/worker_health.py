"""Is this worker alive, is it ready? Read off Faust's state, honest during recovery."""

from typing import Any

from web.health import HealthReport


class WorkerHealth:
    """`web.health.Health` of one Faust app."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def live(self) -> HealthReport:
        """Alive until it crashed: then a supervisor should start it again."""
        crashed = self._app.crashed
        return HealthReport(not crashed, ("the worker crashed",) if crashed else (), {})

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
        return HealthReport(not reasons, tuple(reasons), {"rebalances": app.rebalancing_count})
