"""What a chart of the console draws and says."""

from datetime import UTC, datetime, timedelta

from web.console.charts import Event, Mark, chart
from web.console.drawing import WIDTH
from web.console.numbers import rate

ENDS = datetime(2026, 1, 31, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def test_each_point_says_its_number_and_its_part_and_nothing_of_no_part() -> None:
    drawn = chart(
        "lookups",
        [4.0, None, 12.0],
        most=3,
        ends=ENDS,
        step=MINUTE,
        say=rate,
        unit=" per second",
        part=([1.0, None, 0.0], "failed"),
    )
    assert drawn.said == ["4.0 per second, 1.0 failed", "- per second", "12 per second"]
    assert drawn.top == "12 per second"


def test_a_part_is_drawn_on_the_scale_of_the_whole() -> None:
    drawn = chart(
        "lookups", [4.0], most=2, ends=ENDS, step=MINUTE, say=rate, part=([2.0], "failed")
    )
    assert drawn.part is not None
    assert drawn.line.points.split(",")[1] == "1.0"
    assert drawn.part.points.split(",")[1] == "20.0"


def test_the_axis_goes_from_the_first_place_to_the_last_number() -> None:
    drawn = chart("lookups", [1.0], most=61, ends=ENDS, step=MINUTE, say=rate)
    assert (drawn.begins, drawn.ends) == (ENDS - timedelta(hours=1), ENDS)
    assert drawn.step_ms == 60_000


def test_an_event_is_marked_where_it_happened_and_one_before_the_chart_is_not() -> None:
    begins = ENDS - timedelta(minutes=10)
    events = [
        Event(at=ENDS - timedelta(minutes=5), words="in the middle"),
        Event(at=begins - MINUTE, words="before"),
        Event(at=begins - MINUTE, until=begins + 5 * MINUTE, words="half of it"),
        Event(at=ENDS + MINUTE / 2, words="after the last number"),
    ]
    drawn = chart("lookups", [], most=11, ends=ENDS, step=MINUTE, say=rate, events=events)
    assert drawn.marks == [
        Mark(WIDTH / 2, 2.0),
        Mark(0.0, WIDTH / 2),
        Mark(WIDTH - 2.0, 2.0),
    ]
