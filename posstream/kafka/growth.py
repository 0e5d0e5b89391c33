"""Adds partitions to existing topics, and watches the workers that run meanwhile."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

from aiokafka.admin import NewPartitions
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, for_code

from posstream.domain.errors import GrowthRefused
from posstream.streaming.co_partitioning import partitions_of_client

#: How long new partitions may take until each has a leader.
_LEADERS_SECONDS: Final = 30
#: How long workers may take until they share new partitions among themselves.
_SHARED_SECONDS: Final = 90
_POLL_SECONDS: Final = 0.2


async def add_partitions(admin: Any, topic: str, partitions: int) -> None:
    """Give a topic this many partitions, and wait until each has a leader.

    Raises:
        GrowthRefused: if the broker does not add them.
    """
    try:
        await admin.create_partitions({topic: NewPartitions(partitions)})
    except IncompatibleBrokerVersion as why:
        raise GrowthRefused(
            "this broker cannot add partitions to a topic. The embedded one starts anew with "
            f"POSSTREAM_TOPIC_PARTITIONS={partitions}"
        ) from why
    except KafkaError as why:
        raise GrowthRefused(f"topic {topic} was not grown: {why}") from why
    give_up_at = time.monotonic() + _LEADERS_SECONDS
    while await _led(admin, topic) < partitions:
        if time.monotonic() > give_up_at:
            raise GrowthRefused(
                f"not all {partitions} partitions of {topic} have a leader after "
                f"{_LEADERS_SECONDS} s: check the brokers, and run the command again"
            )
        await asyncio.sleep(_POLL_SECONDS)


async def _led(admin: Any, topic: str) -> int:
    (described,) = await admin.describe_topics([topic])
    return sum(it["leader"] >= 0 for it in described["partitions"])


async def counted_by_workers(admin: Any, groups: Sequence[str]) -> Sequence[int | None]:
    """How many partitions each worker in these groups counts; None for one that does not tell."""
    return [
        partitions_of_client(client)
        for group in groups
        for _, client, *_ in await _members(admin, group)
    ]


async def until_shared(admin: Any, group: str, topic: str, partitions: int) -> None:
    """Wait until the workers of a group have all partitions of a topic, or none runs.

    Raises:
        GrowthRefused: if that takes too long.
    """
    give_up_at = time.monotonic() + _SHARED_SECONDS
    wanted = {(topic, number) for number in range(partitions)}
    while (members := await _members(admin, group)) and not wanted <= _assigned(members):
        if time.monotonic() > give_up_at:
            raise GrowthRefused(
                f"the workers did not take the new partitions of {topic} in {_SHARED_SECONDS} s: "
                "stop them, and run the command again"
            )
        await asyncio.sleep(_POLL_SECONDS)


async def _members(admin: Any, group: str) -> Sequence[Any]:
    (answer,) = await admin.describe_consumer_groups([group])
    ((error, _, _, _, _, members, *_),) = answer.groups
    if error:
        raise for_code(error)(group)
    found: Sequence[Any] = members
    return found


def _assigned(members: Sequence[Any]) -> set[tuple[str, int]]:
    return {
        tuple(tp)
        for *_, assignment in members
        if assignment
        for tp in ConsumerProtocolMemberAssignment.decode(assignment).partitions()
    }
