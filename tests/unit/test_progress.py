"""What may be committed: never past what was not finished, whatever was dropped on the way."""

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from posstream.streaming.lists.progress import Progress

SOURCE = TP("t", 0)


def test_nothing_is_committed_before_it_is_known_where_to_begin() -> None:
    progress = Progress()
    progress.finish(SOURCE, 0)
    assert progress.position(SOURCE) is None
    assert list(progress) == []
    progress.begin({SOURCE: 0})
    assert progress.position(SOURCE) == 1


@given(st.permutations(range(5, 30)), st.integers(0, 25))
def test_acks_in_any_order_commit_up_to_the_first_that_is_missing(
    order: list[int], count: int
) -> None:
    progress = Progress()
    progress.begin({SOURCE: 5})
    finished = set(order[:count])
    for offset in order[:count]:
        progress.finish(SOURCE, offset)
        position = progress.position(SOURCE)
        assert position is not None
        assert all(below in finished for below in range(5, position))
    assert progress.position(SOURCE) == next(n for n in range(5, 31) if n not in finished)


def test_what_was_dropped_at_the_start_is_not_committed_over() -> None:
    progress = Progress()
    progress.begin({SOURCE: 0})
    progress.finish(SOURCE, 67, 100)
    assert progress.position(SOURCE) == 0


def test_a_hole_is_passed_and_not_the_message_after_it() -> None:
    progress = Progress()
    progress.begin({SOURCE: 5})
    progress.finish(SOURCE, 5)
    progress.finish(SOURCE, 6, 9)
    assert progress.position(SOURCE) == 9
    progress.finish(SOURCE, 4, 12)  # a hole that begins before the position
    assert progress.position(SOURCE) == 12


def test_a_second_seek_in_one_generation_counts_on() -> None:
    progress = Progress()
    progress.begin({SOURCE: 3})
    progress.finish(SOURCE, 3)
    progress.begin({SOURCE: 3})
    assert progress.position(SOURCE) == 4


def test_a_new_assignment_counts_anew() -> None:
    progress = Progress()
    progress.begin({SOURCE: 0})
    progress.finish(SOURCE, 0, 10)
    progress.clear()
    progress.begin({SOURCE: 4})
    assert progress.position(SOURCE) == 4


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 5)), max_size=20), st.booleans())
def test_an_offset_is_finished_if_it_was_noted_or_lies_below_the_start(
    spans: list[tuple[int, int]],
    asked_between: bool,  # noqa: FBT001
) -> None:
    progress = Progress()
    progress.begin({SOURCE: 10})
    finished = set(range(10))
    for start, length in spans:
        progress.finish(SOURCE, start, start + length)
        finished |= set(range(start, start + length))
        if asked_between:
            progress.position(SOURCE)  # forgets what lies below
    assert [n for n in range(50) if progress.is_finished(SOURCE, n)] == sorted(finished)
    assert not progress.is_finished(TP("t", 1), 0)


def test_before_it_is_known_where_to_begin_only_what_was_noted_is_finished() -> None:
    progress = Progress()
    progress.finish(SOURCE, 3)
    assert [n for n in range(5) if progress.is_finished(SOURCE, n)] == [3]
