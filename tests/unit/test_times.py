from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posstream.domain.times import from_ms, iso_utc, iso_utc_ms, parse_utc, to_ms


def test_a_time_is_written_in_utc_with_z_and_milliseconds() -> None:
    assert iso_utc(datetime(2026, 1, 31, 8, tzinfo=UTC)) == "2026-01-31T08:00:00.000Z"


def test_a_time_of_another_zone_is_written_in_utc() -> None:
    berlin = timezone(timedelta(hours=1))
    assert iso_utc(datetime(2026, 1, 31, 0, 30, tzinfo=berlin)) == "2026-01-30T23:30:00.000Z"


def test_microseconds_are_cut_and_not_rounded_up() -> None:
    moment = datetime(2026, 1, 31, 8, 0, 0, 999_999, tzinfo=UTC)
    assert iso_utc(moment) == "2026-01-31T08:00:00.999Z"


def test_no_time_stays_none() -> None:
    assert iso_utc(None) is None


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
    ],
)
def test_milliseconds_are_written_exactly(milliseconds: int, expected: str) -> None:
    assert expected == iso_utc_ms(milliseconds)


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T08:00:00Z",
        "2026-01-31T08:00:00.000Z",
        "2026-01-31T09:00:00+01:00",
        "2026-01-31 08:00:00",
        "20260131T080000Z",
        "2026-01-31T08:00",
    ],
)
def test_a_time_is_read_in_its_offset_and_without_one_as_utc(text: str) -> None:
    assert datetime(2026, 1, 31, 8, tzinfo=UTC) == parse_utc(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31t08:00:00z", "2026-01-31T08:00:00.000Z"),
        ("2026-01-31T08:00:00.5z", "2026-01-31T08:00:00.500Z"),
        ("2026-01-31T08:00:00.123456789Z", "2026-01-31T08:00:00.123Z"),
        ("2026-01-31T13:30:00+05:30", "2026-01-31T08:00:00.000Z"),
        ("2026-01-31T08:00:00-00:00", "2026-01-31T08:00:00.000Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"),
        ("2016-12-31t23:59:60.25z", "2017-01-01T00:00:00.250Z"),
        ("2017-01-01T01:59:60+02:00", "2017-01-01T00:00:00.000Z"),
    ],
)
def test_what_rfc_3339_allows_is_read(text: str, expected: str) -> None:
    assert iso_utc(parse_utc(text)) == expected


@pytest.mark.parametrize(
    "text", ["9999-12-31T23:59:60Z", "2026-01-31T08:00:61Z", "2026-01-31T08:60:00Z", "z", "60"]
)
def test_what_looks_like_it_and_is_no_time_is_none(text: str) -> None:
    assert parse_utc(text) is None


def test_a_date_alone_is_its_first_moment() -> None:
    assert datetime(2026, 1, 31, tzinfo=UTC) == parse_utc("2026-01-31")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "yesterday at noon",
        "2026-13-01T00:00:00Z",
        "2026-02-30",
        "1700000000000000",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
    ],
)
def test_what_is_no_time_is_none(text: str) -> None:
    assert parse_utc(text) is None


@given(st.text(max_size=40))
def test_no_text_breaks_the_reader(text: str) -> None:
    moment = parse_utc(text)
    assert moment is None or moment.tzinfo is UTC


@given(st.integers(min_value=-62_135_596_800_000, max_value=253_402_300_799_999))
def test_every_millisecond_survives_being_written_and_read(milliseconds: int) -> None:
    moment = parse_utc(iso_utc_ms(milliseconds))
    assert moment is not None
    assert milliseconds == to_ms(moment)
    assert moment == from_ms(milliseconds)


# -- against `datetime` itself

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECONDS = st.one_of(
    st.integers(min_value=-62_135_596_800_000, max_value=253_402_300_799_999),
    st.integers(min_value=-2_000, max_value=2_000),
)
OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(timezones=st.one_of(st.just(UTC), OFFSETS))


@given(MILLISECONDS)
def test_milliseconds_are_written_as_datetime_writes_them(milliseconds: int) -> None:
    moment = EPOCH + timedelta(milliseconds=milliseconds)
    expected = moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
    assert iso_utc_ms(milliseconds) == expected


@given(MOMENTS)
def test_a_moment_is_its_whole_milliseconds_rounded_down_before_1970_too(moment: datetime) -> None:
    assert to_ms(moment) == (moment - EPOCH) // timedelta(milliseconds=1)


@given(MOMENTS, st.sampled_from(["T", " "]))
def test_a_moment_that_was_written_is_read_as_the_same_in_utc(moment: datetime, sep: str) -> None:
    try:
        expected = moment.astimezone(UTC)
    except OverflowError:
        expected = None  # it is in UTC before the first year, or after the last
    found = parse_utc(moment.isoformat(sep))
    assert found == expected
    assert found is None or found.tzinfo is UTC


@given(st.datetimes())
def test_a_moment_without_an_offset_is_read_as_utc(moment: datetime) -> None:
    assert parse_utc(moment.isoformat()) == moment.replace(tzinfo=UTC)
