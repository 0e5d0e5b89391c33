"""What is made of a batch while another one is written."""

import time

import pytest

from posstream.read_model.ahead import Ahead
from posstream.read_model.projection import ProjectedEvent

BATCH = [ProjectedEvent("t", {})]


def test_what_was_made_is_taken_once_and_only_for_its_own_batch() -> None:
    ahead = Ahead[str]()
    assert ahead.take(BATCH) is None
    ahead.put(BATCH, "made")
    assert ahead.take(list(BATCH)) is None, "an equal batch is another one"
    assert ahead.take(BATCH) == "made"
    assert ahead.take(BATCH) is None


def test_a_batch_that_waits_for_the_database_loses_nothing_to_the_next_one() -> None:
    ahead, batches = Ahead[str](), [[ProjectedEvent("t", number)] for number in range(3)]
    for number in range(2):
        ahead.put(batches[number], str(number))
    assert [ahead.take(batch) for batch in batches] == ["0", "1", None]


@pytest.mark.parametrize(("age", "given"), [(60, "made"), (61, None)])
def test_what_is_too_old_is_not_given(
    monkeypatch: pytest.MonkeyPatch, age: int, given: str | None
) -> None:
    ahead, made_at = Ahead[str](seconds=60), time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: made_at)
    ahead.put(BATCH, "made")
    monkeypatch.setattr(time, "monotonic", lambda: made_at + age)
    assert ahead.take(BATCH) == given
