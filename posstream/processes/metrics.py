"""Shows CPU, memory and open files of each process of a worker; Linux only."""

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

#: The name of a process in the label -> its id; None = it does not run.
Pids = Mapping[str, Callable[[], int | None]]


class ProcessFigures:
    """The library's collector for several processes, with the label `process`.

    Args:
        pids: the processes beside this one.
    """

    def __init__(self, pids: Pids) -> None:
        self._pids: Pids = {"worker": os.getpid, **pids}

    def describe(self) -> Iterable[Metric]:
        """The metrics' names, so that the registry refuses a second metric with one of them."""
        return [
            Metric(family.name, family.documentation, family.type)
            for family in _collected(os.getpid())
        ]

    def collect(self) -> Iterable[Metric]:
        """The numbers of now."""
        families: dict[str, Metric] = {}
        for process, pid_of in self._pids.items():
            pid = pid_of()
            for family in () if pid is None else _collected(pid):
                known = families.setdefault(
                    family.name, Metric(family.name, family.documentation, family.type)
                )
                known.samples += [
                    Sample(sample.name, {"process": process}, sample.value)
                    for sample in family.samples
                ]
        return families.values()


def _collected(pid: int) -> Iterable[Metric]:
    apart = CollectorRegistry()
    return ProcessCollector("posstream", pid=partial(int, pid), registry=apart).collect()
