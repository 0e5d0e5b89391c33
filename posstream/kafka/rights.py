"""Asks a broker what its ACLs allow a client, and says which rights a worker lacks (KIP-430)."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any, Final

from aiokafka.client import CoordinationType
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    IncompatibleBrokerVersion,
    KafkaError,
)

from posstream.kafka.metadata import GroupRequest, MetadataRequest

#: How often a cluster is asked for the coordinator of a group: a new one first makes a topic.
_TRIES: Final = 40
_PAUSE_SECONDS: Final = 0.25
#: The operations in the answer of a broker that does not tell them.
_NOT_TOLD: Final = -(2**31)
_UNAUTHORISED: Final = frozenset({29, 30})
_UNKNOWN_TOPIC: Final = 3


class Right(IntEnum):
    """A right of a client; its value is the number of its bit in a broker's answer."""

    Read = 3
    Write = 4
    Create = 5
    DescribeConfigs = 10

    def is_in(self, operations: int) -> bool:
        """Whether a broker's bits grant it; True also if the broker does not tell."""
        return operations == _NOT_TOLD or bool(operations & 1 << self)


#: What a worker does with each topic of posstream. Describe goes with Read and Write.
OF_TOPICS: Final = (Right.Read, Right.Write, Right.DescribeConfigs)


async def missing_rights(
    client: Any,
    topics: Sequence[str],
    groups: Iterable[str],
    *,
    rights: Sequence[Right] = OF_TOPICS,
) -> Mapping[str, Sequence[str]]:
    """The rights that the client lacks, such as `Read on topic` -> the names of the topics.

    Args:
        client: an `AIOKafkaClient` that is connected.
        topics: what they are needed for.
        groups: to be joined.
        rights: what the client does with the topics. One that writes also creates missing ones.
    """
    missing: dict[str, list[str]] = {}
    answer = await _asked(client, topics)
    for error, name, *_, told, _ in answer.topics if answer else ():
        operations = 0 if error in _UNAUTHORISED else told
        lacked = [right for right in rights if not right.is_in(operations)]
        is_made = error == _UNKNOWN_TOPIC and Right.Write in rights
        if is_made and not Right.Create.is_in(operations | answer.operations):
            lacked.append(Right.Create)
        if lacked:
            missing.setdefault(_words(lacked, "topic"), []).append(name)
    for group in groups:
        if not Right.Read.is_in(await _operations_of_group(client, group)):
            missing.setdefault(_words([Right.Read], "group"), []).append(group)
    return missing


def _words(rights: Sequence[Right], kind: str) -> str:
    names = [right.name for right in rights]
    listed = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    return f"{listed} on {kind}"


async def _asked(client: Any, topics: Sequence[str]) -> Any:
    for _ in range(_TRIES):
        try:
            return await client.send(
                client.get_random_node(), MetadataRequest(*topics, operations=True)
            )
        except (IncompatibleBrokerVersion, NotImplementedError):  # aiokafka's for an older broker
            break
        except KafkaError as why:
            if not why.retriable:
                raise
        await asyncio.sleep(_PAUSE_SECONDS)  # the node that was asked has just died
    return None


async def _operations_of_group(client: Any, group: str) -> int:
    for _ in range(_TRIES):
        try:
            node = await client.coordinator_lookup(CoordinationType.GROUP, group)
            answer = await client.send(node, GroupRequest(group))
        except GroupAuthorizationFailedError:
            return 0
        except (IncompatibleBrokerVersion, NotImplementedError):
            return _NOT_TOLD
        except KafkaError as why:
            if not why.retriable:
                raise
            await asyncio.sleep(_PAUSE_SECONDS)  # no coordinator yet, or it has just died
            continue
        ((error, *_, operations),) = answer.groups
        if error in _UNAUTHORISED:
            return 0
        if not error:
            return int(operations)
        await asyncio.sleep(_PAUSE_SECONDS)  # the coordinator has just changed, or loads the group
    return _NOT_TOLD
