import gc
import os
from collections.abc import Sequence
from itertools import chain, groupby, islice
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from tests import examples
from tests.temporary_files import keep_in_memory

keep_in_memory()

# Machines are shared and noisy: how long it takes to draw an example is no failure.
settings.register_profile(
    "posstream",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=examples.MOST,
)
settings.load_profile("posstream")

BROKER = "POSSTREAM_TEST_BROKER"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--broker-url",
        metavar="kafka://HOST:PORT",
        help=f"Apache Kafka for the integration suite; the same as {BROKER}",
    )
    parser.addoption("--seed", type=int, help="the moments of a chaos scenario, again")
    parser.addoption("--events", type=int, default=2_000, help="how many fraud_million sends")


def pytest_xdist_auto_num_workers() -> int:
    """Two processes for each core: many tests wait for workers and brokers."""
    return len(os.sched_getaffinity(0)) * 2


def pytest_configure(config: pytest.Config) -> None:
    given = config.getoption("--broker-url")
    if given:
        os.environ[BROKER] = given
    if os.environ.get("COVERAGE") and hasattr(config, "workerinput"):
        _measure(config)


def pytest_collection_finish() -> None:
    """Keep the garbage collector from looking through all tests and modules again and again."""
    gc.freeze()


def _measure(config: pytest.Config) -> None:
    """Measure the coverage of one process of the parallel run."""
    import coverage

    measured = coverage.Coverage()
    measured.start()
    config.add_cleanup(measured.save)
    config.add_cleanup(measured.stop)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> "WholeFiles":
    """Give each process whole files, and the tests that share one worker to one process."""
    return WholeFiles(config, log)


class WholeFiles(LoadFileScheduling):  # type: ignore[misc] # xdist is not typed
    """A second shared worker would take the CPU of other tests, also while it waits."""

    def _split_scope(self, nodeid: str) -> str:
        folder, together, _ = nodeid.partition("/one_worker/")
        return folder if together else nodeid.partition("::")[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("PYTEST_XDIST_WORKER"):
        items[:] = mixed(items)
    if os.environ.get(BROKER):
        return
    for item in items:
        if item.get_closest_marker("kafka") is not None:
            item.add_marker(pytest.mark.skip(reason=f"needs {BROKER}, as in make test-kafka"))


def mixed(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Files that wait for workers and brokers among files that compute, so that no core is idle.

    Half of those that compute are left for the end: they are short.
    """
    files: dict[bool, list[list[pytest.Item]]] = {True: [], False: []}
    for path, group in groupby(items, key=lambda item: item.path):
        computes = path.parent.name in ("component", "unit") and "test_project" not in path.name
        files[computes].append(list(group))
    each = len(files[True]) // (2 * len(files[False]) or 1)
    queue = iter(files[True])
    order = [[wait, *islice(queue, each)] for wait in files[False]]
    return list(chain(*chain(*order, queue)))
