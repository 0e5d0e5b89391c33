"""Whether a contestant did the job: one answer for each event, each of the right customer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from confluent_kafka import TopicPartition

from benchmarks.scans import basket, number_of
from benchmarks.stage import Stage

#: Every so many answers are read.
_SAMPLE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of the answers to one run."""

    answered: int
    duplicates: int


class WrongAnswers(RuntimeError):
    """A contestant left events out or answered with somebody else: that is no figure."""


def judge(  # noqa: PLR0913 - a run is all of this
    stage: Stage,
    since: Sequence[TopicPartition],
    *,
    tag: int,
    events: int,
    customer_of: Callable[[int], str],
    sample: int = _SAMPLE,
) -> Verdict:
    """Read the answers of one run.

    Args:
        stage: where they are.
        since: the ends of the answers' topic before the run.
        tag: the run's, in its baskets.
        events: how many there were.
        customer_of: the id of the customer that the event of a number asked for.
        sample: every so many answers are read, the others counted.

    Raises:
        WrongAnswers: naming the first of them.
    """
    seen = bytearray(events)
    duplicates = 0
    for message in stage.read(since, stage.ends(since[0].topic)):
        key = message.key() or b""
        number = number_of(key)
        if key != basket(tag, number) or number >= events:
            raise WrongAnswers(f"nobody asked for {key!r}")
        if seen[number]:
            duplicates += 1
        seen[number] = 1
        if number % sample == 0:
            _check(message.value() or b"", key, customer_of(number))
    answered = sum(seen)
    if answered < events:
        first = basket(tag, seen.index(0)).decode()
        raise WrongAnswers(f"{events - answered} of {events} events have no answer, as {first}")
    return Verdict(answered, duplicates)


def _check(value: bytes, key: bytes, customer: str) -> None:
    answer = orjson.loads(value)
    found = (answer["basket_id"], answer.get("customer", {}).get("customer_id"))
    if found != (key.decode(), customer):
        raise WrongAnswers(f"{found} instead of {(key.decode(), customer)}: {value[:500]!r}")
