"""Keys go where aiokafka and Java's clients would put them."""

from aiokafka.partitioner import DefaultPartitioner, murmur2
from hypothesis import given
from hypothesis import strategies as st

from posstream.kafka.partitioner import partition_of, partitioner

KEYS = st.one_of(st.binary(max_size=80), st.text(max_size=20).map(str.encode))
PARTITIONS = st.lists(st.integers(0, 1000), min_size=1, max_size=100, unique=True)


@given(KEYS, st.integers(1, 1000))
def test_a_key_has_the_partition_that_murmur2_says(key: bytes, partitions: int) -> None:
    assert partition_of(key, partitions) == (murmur2(key) & 0x7FFFFFFF) % partitions


@given(KEYS, PARTITIONS)
def test_the_producer_chooses_as_upstream_does_whoever_leads(key: bytes, every: list[int]) -> None:
    expected = DefaultPartitioner()(key, every, every)
    assert partitioner(key, every, every) == expected
    assert partitioner(key, every, every[:1]) == expected


@given(PARTITIONS, st.integers(0, 3))
def test_without_a_key_any_partition_with_a_leader_will_do(every: list[int], led: int) -> None:
    assert partitioner(None, every, every[:led]) in (every[:led] or every)
