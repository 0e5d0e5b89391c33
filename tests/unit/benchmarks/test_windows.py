import pytest

from benchmarks.windows import Sample, Spread, percentile, spread, window


def steady(rate: int, seconds: int) -> list[Sample]:
    return [Sample(at, rate * at, at * 0.5, at * 0.25) for at in range(seconds + 1)]


def test_a_window_is_the_middle_of_a_run() -> None:
    found = window(steady(100, 10), 1_000)
    assert (found.seconds, found.events) == (8, 800)


def test_a_window_begins_and_ends_between_samples() -> None:
    found = window([Sample(0, 0), Sample(10, 1_000)], 1_000)
    assert (found.seconds, found.rate) == (8, 100)


def test_cpu_time_is_that_of_the_window() -> None:
    found = window(steady(100, 10), 1_000)
    assert (found.cpu_us, found.broker_cpu_us) == (5_000, 2_500)


def test_a_count_that_grows_in_steps_grows_evenly_between_them() -> None:
    in_steps = [Sample(at, at // 5 * 500, at) for at in range(11)]
    found = window(in_steps, 1_000)
    assert (found.seconds, found.rate, found.cpu_us) == (8, 100, 10_000)


def test_answers_before_the_first_sample_do_not_count() -> None:
    found = window([Sample(5, 500), Sample(10, 1_000)], 1_000)
    assert (found.seconds, found.events) == (4.5, 450)


def test_a_run_that_did_not_end_has_no_window() -> None:
    with pytest.raises(ValueError, match="end before"):
        window(steady(100, 9), 1_000)


def test_a_run_between_two_samples_has_no_window() -> None:
    with pytest.raises(ValueError, match="more events"):
        window([Sample(1, 1_000)], 1_000)


def test_the_middle_of_rounds_is_their_median() -> None:
    assert spread([3, 1, 10]) == Spread(3, 1, 10)


def test_percentiles_are_of_what_was_seen() -> None:
    values = list(range(100))
    assert [percentile(values, share) for share in (0, 0.5, 0.99, 1)] == [0, 50, 99, 99]
