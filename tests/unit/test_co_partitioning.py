"""Whether co-partitioned topics have the partitions that a worker counts."""

from types import SimpleNamespace
from typing import Any

import pytest

from agents.customer_lookup.topics import CACHE, CUSTOMER_IDENTIFIED, REKEYED
from posstream.streaming.co_partitioning import (
    CoPartitioning,
    client_id,
    misfit,
    partitions_of_client,
)

FOUR = dict.fromkeys(CACHE.topics, 4)


def known(**counts: int) -> CoPartitioning:
    """What a worker that counts 4 makes of what its consumer knows."""
    consumer = SimpleNamespace(topic_partitions=counts.get)
    app: Any = SimpleNamespace(consumer=consumer, consumer_exists=True)
    return CoPartitioning(app, CACHE, partitions=4)


def test_topics_with_as_many_as_counted_are_right() -> None:
    topics = known(**FOUR)
    assert (topics.misfit, topics.is_frozen, topics.is_apart) == (None, False, False)


def test_before_the_consumer_knows_of_topics_nothing_is_wrong() -> None:
    topics = known()
    assert (topics.misfit, topics.is_frozen, topics.is_apart) == (None, False, False)


def test_a_source_that_grew_is_apart_from_the_cache_and_does_not_freeze_it() -> None:
    topics = known(**FOUR | {CUSTOMER_IDENTIFIED: 6})
    assert (topics.is_frozen, topics.is_apart) == (False, True)


def test_a_changelog_that_grew_freezes_the_cache() -> None:
    assert known(**FOUR | {CACHE.changelog.name: 6}).is_frozen


def test_a_changelog_that_is_not_known_for_a_moment_stays_frozen() -> None:
    counts = dict(FOUR | {CACHE.changelog.name: 6})
    consumer = SimpleNamespace(topic_partitions=counts.get)
    app: Any = SimpleNamespace(consumer=consumer, consumer_exists=True)
    topics = CoPartitioning(app, CACHE, partitions=4)
    assert topics.is_frozen
    del counts[CACHE.changelog.name]
    assert topics.is_frozen


@pytest.mark.parametrize("topic", CACHE.topics)
def test_whichever_topic_grew_the_sentence_names_it_and_the_command(topic: str) -> None:
    said = known(**FOUR | {topic: 6}).misfit
    assert said is not None
    assert said.startswith(f"topic {topic} has 6 partitions, but POSSTREAM_TOPIC_PARTITIONS is 4: ")
    assert "Run `posstream topics grow 6`" in said
    assert said.endswith("POSSTREAM_TOPIC_PARTITIONS=6")


def test_of_several_numbers_the_greatest_is_the_one_to_grow_to() -> None:
    said = misfit(CACHE.topics, FOUR | {CUSTOMER_IDENTIFIED: 6, REKEYED: 5}, 4)
    assert said is not None
    assert "grow 6" in said
    said = misfit(CACHE.topics, FOUR | {CUSTOMER_IDENTIFIED: 6}, 8)
    assert said is not None
    assert "grow 8" in said, "the setting is a wish, too"


def test_topics_that_agree_need_the_setting_alone() -> None:
    assert misfit(CACHE.topics, dict.fromkeys(CACHE.topics, 6), 4) == (
        f"topic {CUSTOMER_IDENTIFIED} has 6 partitions, but POSSTREAM_TOPIC_PARTITIONS is 4. "
        "Set POSSTREAM_TOPIC_PARTITIONS=6"
    )


def test_a_setting_beyond_the_topics_may_be_a_wish_to_grow_them() -> None:
    assert misfit(CACHE.topics, FOUR, 8) == (
        f"topic {CUSTOMER_IDENTIFIED} has 4 partitions, but POSSTREAM_TOPIC_PARTITIONS is 8. "
        "Set POSSTREAM_TOPIC_PARTITIONS=4, or run `posstream topics grow 8`"
    )


@pytest.mark.parametrize(
    ("client", "partitions"), [(client_id(8), 8), ("faust-0.15.3", None), ("posstream", None)]
)
def test_a_worker_tells_by_its_client_id_how_many_it_counts(
    client: str, partitions: int | None
) -> None:
    assert partitions_of_client(client) == partitions


def test_a_worker_that_starts_may_be_asked_and_makes_no_consumer() -> None:
    app: Any = SimpleNamespace(consumer_exists=False)  # to ask for the consumer would fail
    assert CoPartitioning(app, CACHE, partitions=4).misfit is None
