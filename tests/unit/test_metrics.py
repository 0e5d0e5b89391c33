"""Answers that are counted in one step are counted as one by one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lookup_metrics import RegisteredMetrics

BOUNDS = [0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20]
SECONDS = st.one_of(st.sampled_from([0.0, *BOUNDS, 20.001, 1e9]), st.floats(0, 100))


def counted(metrics: RegisteredMetrics) -> dict[tuple[Any, ...], float]:
    """Every sample of the answers, but for when they began to be counted."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name.startswith("posstream_answer") and not sample.name.endswith("_created")
    }


@given(st.lists(st.tuples(st.sampled_from(["CACHE", None]), SECONDS, st.integers(1, 20))))
def test_so_many_at_once_are_so_many_observations(
    answers: list[tuple[str | None, float, int]],
) -> None:
    at_once, singly = RegisteredMetrics(), RegisteredMetrics()
    for source, seconds, count in answers:
        at_once.answered(source, "NONE", seconds, count)
        for _ in range(count):
            singly.answers.labels(source or "NONE", "NONE").inc()
            singly.answer_seconds.observe(seconds)
    assert counted(at_once) == pytest.approx(counted(singly))


def test_one_is_counted_unless_told_otherwise() -> None:
    metrics = RegisteredMetrics()
    metrics.answered("API", "NOT_FOUND", 0.3)
    found = counted(metrics)
    key = ("posstream_answers_total", ("reason", "NOT_FOUND"), ("source", "API"))
    assert found[key] == 1
    assert found["posstream_answer_seconds_count",] == 1
    assert found["posstream_answer_seconds_bucket", ("le", "0.2")] == 0
    assert found["posstream_answer_seconds_bucket", ("le", "0.5")] == 1
