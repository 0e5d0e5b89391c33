import os

import pytest
from hypothesis import HealthCheck, settings

from tests import examples

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


def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are cores: many tests wait for workers and brokers."""
    return len(os.sched_getaffinity(0)) + 1


def pytest_configure(config: pytest.Config) -> None:
    given = config.getoption("--broker-url")
    if given:
        os.environ[BROKER] = given
    if os.environ.get("COVERAGE") and hasattr(config, "workerinput"):
        _measure(config)


def _measure(config: pytest.Config) -> None:
    """Measure the coverage of one process of the parallel run."""
    import coverage

    measured = coverage.Coverage()
    measured.start()
    config.add_cleanup(measured.save)
    config.add_cleanup(measured.stop)


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        # One worker of the integration suite costs seconds, and CPU while it waits.
        shares = "worker" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("worker" if shares else item.path.name))
    if os.environ.get(BROKER):
        return
    for item in items:
        if item.get_closest_marker("kafka") is not None:
            item.add_marker(pytest.mark.skip(reason=f"needs {BROKER}, as in make test-kafka"))
