"""What is made of a batch while another one is written."""

import time

import pytest

from posstream.read_model.ahead import Ahead
from posstream.read_model.projection import ProjectedEvent

BATCH = [ProjectedEvent("t", {})]


def test_it_is_given_once_and_for_this_batch_alone() -> None:
    ahead = Ahead[str]()
    assert ahead.take(BATCH) is None
    ahead.put(BATCH, "made")
    assert ahead.take(list(BATCH)) is None, "an equal batch is another one"
    assert ahead.take(BATCH) == "made"
    assert ahead.take(BATCH) is None


@pytest.mark.parametrize(("age", "given"), [(60, "made"), (61, None)])
def test_what_is_too_old_is_not_given(
    monkeypatch: pytest.MonkeyPatch, age: int, given: str | None
) -> None:
    ahead, made_at = Ahead[str](seconds=60), time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: made_at)
    ahead.put(BATCH, "made")
    monkeypatch.setattr(time, "monotonic", lambda: made_at + age)
    assert ahead.take(BATCH) == given
