import pytest

from benchmarks.fraud_costs import FUNCTIONS, Engine, Scan, observations, of_engine, of_scan

#: More than there are in the window.
EVENTS = 120


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("in_window", [1, 7, 50])
def test_the_scan_and_the_engine_compute_the_same(function: str, in_window: int) -> None:
    engine, scan = Engine(function), Scan(function)
    for it in observations(0, EVENTS, in_window):
        engine.take(it)
        scan.take(it)
        assert engine.value == scan.value


def test_a_window_has_as_many_observations_as_is_said() -> None:
    scan = Scan("COUNT")
    for it in observations(0, EVENTS, 50):
        scan.take(it)
    assert scan.value == 50 * 10_000


def test_what_is_written_counts() -> None:
    assert of_engine("COUNT", 10, 20).written_bytes > 0
    assert of_scan("COUNT", 10, 20).written_bytes == 0
