"""Faust's worker with our log: no banner, no spinner and no tables between its lines."""

import logging
import sys
from typing import Any

from faust.cli.worker import worker as faust_command
from faust.worker import Worker as FaustWorker
from mode.utils.logging import level_number

from posstream.logs.setup import set_up

log = logging.getLogger(__name__)


class Worker(FaustWorker):
    """The worker that `faust worker` and `posstream dev` run; its log is `posstream.logs`."""

    def __init__(self, app: Any, *services: Any, **options: Any) -> None:
        super().__init__(app, *services, **options)
        self.spinner = None

    def carp(self, msg: str) -> None:
        """Print nothing: `-INT- -INT- -INT-` is no line of a log."""

    def _schedule_shutdown(self, signal: Any) -> None:
        log.info("the worker stops: %s came", signal.name)
        super()._schedule_shutdown(signal)

    def _setup_logging(self) -> None:
        set_up(
            self.app.log_format,
            level=level_number(self.loglevel or logging.WARNING),
            worker=self.app.address,
            to=self.logfile or sys.stderr,
        )
        if self.redirect_stdouts:
            self._redirect_stdouts()


def leave_out_banner() -> None:
    """Keep `faust worker` from printing its banner; the log says the same. Idempotent."""
    faust_command.on_worker_created = lambda *_: None
