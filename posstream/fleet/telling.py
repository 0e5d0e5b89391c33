"""Folds what one worker reports of itself from its plugins, their configurations and findings."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from posstream import __version__
from posstream.configuration.configurations import Configurations
from posstream.domain.times import iso_utc_ms
from posstream.findings import Finding, Severity, codes
from posstream.fleet.heartbeat import ControlState, Heartbeat, Share
from posstream.plugins.supervisor import Supervisor

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Telling:
    """Makes the heartbeat of a worker."""

    #: Its name, once it has one.
    worker: Callable[[], str]
    #: Host and port of its web view.
    address: Callable[[], str]
    #: When the process began: ms since 1970.
    started_at_ms: int
    supervisor: Supervisor
    configurations: Configurations
    #: What is wrong on the worker, worst first.
    findings: Callable[[], Sequence[Finding]]

    def __call__(self) -> Heartbeat:
        """The heartbeat of now."""
        wrong = [it for it in self.findings() if it.severity is not Severity.NOTE]
        return Heartbeat(
            worker=self.worker(),
            address=self.address(),
            version=__version__,
            started_at=iso_utc_ms(self.started_at_ms),
            shares=tuple(self._shares()),
            configurations={
                name: live.current.value.version for name, live in self.configurations.items()
            },
            controls=tuple(self._controls()),
            findings=tuple(codes(wrong)),
        )

    def _shares(self) -> Iterator[Share]:
        for plugin, figures in self.supervisor.figures().items():
            for topic, its in groupby(sorted(figures.lag), key=itemgetter(0)):
                parts = [*its]
                yield Share(
                    plugin=plugin,
                    topic=topic,
                    partitions=tuple(partition for _, partition, _ in parts),
                    lag=sum(lag for *_, lag in parts),
                )

    def _controls(self) -> Iterator[ControlState]:
        for plugin, running in self.supervisor.running.items():
            for it in running.built.controls:
                try:
                    yield ControlState(plugin=plugin, name=it.name, state=it.state())
                except Exception:  # a plugin's own code: the worker tells the rest
                    log.exception("plugin %s cannot say the state of its %s", plugin, it.name)
