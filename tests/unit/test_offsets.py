"""A set of offsets behaves as a set, whatever the order and the ranges."""

from hypothesis import given
from hypothesis import strategies as st

from posstream.streaming.lists.offsets import Offsets

RANGES = st.tuples(st.integers(0, 60), st.integers(1, 9)).map(lambda r: (r[0], r[0] + r[1]))


@given(st.lists(RANGES, max_size=100), st.integers(0, 80))
def test_a_set_of_offsets_is_a_set(ranges: list[tuple[int, int]], start: int) -> None:
    offsets, model = Offsets(), set[int]()
    for first, stop in ranges:
        offsets.add(first, stop)
        model |= set(range(first, stop))
    assert offsets.run_from(start) == next(n for n in range(start, 99) if n not in model)
    assert [n for n in range(-1, 99) if n in offsets] == sorted(model)


@given(st.lists(RANGES, max_size=50), st.integers(0, 80))
def test_what_is_forgotten_below_changes_nothing_above(
    ranges: list[tuple[int, int]], at: int
) -> None:
    kept, cut = Offsets(), Offsets()
    for first, stop in ranges:
        kept.add(first, stop)
        cut.add(first, stop)
    cut.forget_below(at)
    assert [cut.run_from(n) for n in range(at, 80)] == [kept.run_from(n) for n in range(at, 80)]
