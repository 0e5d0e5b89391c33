"""What is read can be published: nesting is bounded by what orjson writes, 254 levels."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posstream.json.reading import read_json, read_json_exactly
from posstream.json.sent_number import SentNumber
from posstream.json.writing import write_json

#: What orjson writes, less the three levels of our own envelopes.
DEEPEST = 251


def nested(depth: int, inner: bytes = b"") -> bytes:
    return b"[" * depth + inner + b"]" * depth


@pytest.mark.parametrize("depth", [99, 100, 101, DEEPEST - 1, DEEPEST])
def test_a_document_can_be_published_inside_of_three_others(depth: int) -> None:
    document = read_json(nested(depth))
    assert orjson.dumps([[[document]]]) == nested(depth + 3)


@pytest.mark.parametrize("depth", [DEEPEST + 1, 253, 254, 255, 256, 1024])
def test_a_deeper_document_is_refused_whatever_nests_it(depth: int) -> None:
    objects = b'{"a":' * depth + b"0" + b"}" * depth
    for raw in (nested(depth), objects, b"[" + nested(depth - 1) + b"]"):
        with pytest.raises(orjson.JSONEncodeError):
            read_json(raw)


def test_upstream_writes_254_levels_and_no_more() -> None:
    assert orjson.dumps(orjson.loads(nested(254))) == nested(254)
    with pytest.raises(orjson.JSONEncodeError):
        orjson.dumps(orjson.loads(nested(255)))


def test_many_brackets_side_by_side_or_in_text_are_not_deep() -> None:
    wide: list[Any] = [[] for _ in range(1000)]
    assert read_json(orjson.dumps(wide)) == wide
    assert read_json(orjson.dumps("[{" * 500)) == "[{" * 500


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text(max_size=5)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
        ),
    )
)
def test_any_document_is_read_as_it_is(document: Any) -> None:
    assert read_json(json.dumps(document).encode()) == document


@pytest.mark.parametrize("raw", [b"", b"{", b"NaN", b"\xff", b'"\\ud800"', nested(1025)])
def test_what_is_no_json_is_refused_as_such(raw: bytes) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        read_json(raw)


# -- numbers as they were sent


@pytest.mark.parametrize(
    "number",
    [
        "12345678901234567890123",
        "-12345678901234567890123",
        "18446744073709551615",
        "18446744073709551616",
        "9" * 400,
        "10.10",
        "0.00",
        "0.1000000000000000055",
        "12345678901234567.25",
        "1e400",
        "1E-400",
        "1.2e+22",
        "123456789012345678901234567890e-5",
        "-0.0",
        "1.5",
        "7",
    ],
)
def test_a_number_is_written_as_it_was_sent(number: str) -> None:
    raw = f'{{"n":{number},"deep":[[{number}]],"text":"1.50"}}'.encode()
    assert write_json(read_json_exactly(raw)) == raw


def test_what_a_float_says_in_other_words_is_a_float() -> None:
    assert read_json_exactly(b"[1.5, 1e-05, 0.00001, 2.0]") == [1.5, 1e-05, 1e-05, 2.0]
    assert [type(n) for n in read_json_exactly(b"[1.5, 1e2, 3]")] == [float, SentNumber, int]


@pytest.mark.parametrize("raw", [b"NaN", b"[Infinity]", b"-Infinity", b"01", b"1.", b".5", b"+1"])
def test_what_is_no_number_of_json_is_refused(raw: bytes) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        read_json_exactly(raw)


@pytest.mark.parametrize("exponent", ["1e99999999999999999999", "1e400]", '1e400, "\\ud800"'])
def test_a_number_beyond_floats_excuses_nothing_else(exponent: str) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        read_json_exactly(f"[{exponent}]".encode())


@pytest.mark.parametrize("depth", [DEEPEST + 1, 1024, 1025, 30_000])
def test_a_number_does_not_hide_how_deep_a_document_is(depth: int) -> None:
    for number in (b"1.50", b"1e400"):
        with pytest.raises((orjson.JSONDecodeError, orjson.JSONEncodeError)):
            read_json_exactly(nested(depth, number))


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff1.5", b'["\\ud800", 1.50]', b'["\xff", 1e400]'])
def test_what_is_no_json_is_refused_with_numbers_too(raw: bytes) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        read_json_exactly(raw)
