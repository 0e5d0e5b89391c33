"""A batch whose records are joined from pieces has the bytes that aiokafka's builder gives."""

from collections.abc import Sequence

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from hypothesis import given, settings
from hypothesis import strategies as st

from posstream.streaming.patches.joined_batch import JoinedBatch, encoded_headers
from tests.examples import most

AT_MS = 1_769_846_400_123

Headers = list[tuple[str, bytes | None]]

#: Lengths whose varint is longer than that of one less, and one that is not kept.
LENGTHS = (0, 1, 63, 64, 4094, 4095, 4096, 8191, 8192, 70_000)
TEXTS = st.one_of(
    st.none(), st.binary(max_size=20), st.sampled_from(LENGTHS).map(lambda length: b"x" * length)
)
HEADERS: st.SearchStrategy[Headers] = st.lists(st.tuples(st.text(max_size=8), TEXTS), max_size=7)
RECORDS = st.lists(st.tuples(TEXTS, TEXTS, HEADERS), min_size=1, max_size=12)


def theirs(most_bytes: int = 262_144) -> BatchBuilder:
    return BatchBuilder(most_bytes, 0)


def in_pieces(batch: JoinedBatch, key: bytes | None, value: bytes, headers: Headers) -> bool:
    """Put a record in whose value is cut into pieces."""
    cuts = range(0, len(value), 7)
    pieces = [*(value[at : at + 7] for at in cuts), encoded_headers(headers)]
    return batch.put(key, len(value), pieces, sum(map(len, pieces)))


@settings(max_examples=most(100))
@given(RECORDS, st.sampled_from([100, 4200, 262_144]), st.booleans())
def test_the_bytes_are_those_of_aiokafkas_builder(
    records: Sequence[tuple[bytes | None, bytes | None, Headers]],
    most_bytes: int,
    cut: bool,  # noqa: FBT001 - hypothesis gives it
) -> None:
    ours, other = JoinedBatch(most_bytes, AT_MS), theirs(most_bytes)
    for key, value, headers in records:
        has_room = other.append(timestamp=AT_MS, key=key, value=value, headers=headers) is not None
        if cut and value is not None:
            assert in_pieces(ours, key, value, headers) is has_room
        else:
            assert ours.put_whole(key, value, headers) is has_room
        if not has_room:
            break
        assert ours.size() == other.size()
    other.close()
    assert ours.closed()
    assert ours.record_count() == other.record_count()
    for batch in (ours, other):
        batch._set_producer_state(2**40, 7, 2**31 - 1)
    assert bytes(ours._build()) == bytes(other._build())
    assert ours.size() == len(ours._build())


def test_a_batch_of_thousands_of_records_counts_them_all() -> None:
    ours, other = JoinedBatch(10**6, AT_MS), theirs(10**6)
    for _ in range(9000):
        assert ours.put_whole(b"k", None, [])
        assert other.append(timestamp=AT_MS, key=b"k", value=None)
    other.close()
    assert bytes(ours._build()) == bytes(other._build())


def test_a_batch_that_is_sent_again_has_the_same_bytes() -> None:
    batch = JoinedBatch(1000, AT_MS)
    assert batch.put_whole(b"k", b"v", [("h", b"x")])
    first = bytes(batch._build())
    assert bytes(batch._build()) == first


def test_a_closed_batch_stays_closed() -> None:
    batch = JoinedBatch(1000, AT_MS)
    batch.close()
    assert batch.closed()
    assert batch.complete() is batch


@pytest.mark.parametrize("name", ["append", "closed", "close", "record_count", "size", "_build"])
def test_it_has_what_aiokafka_asks_of_a_builder(name: str) -> None:
    assert callable(getattr(JoinedBatch(1000, AT_MS), name))
    assert callable(getattr(theirs(), name)), "aiokafka asks for another name now"
