"""Asks a broker for a topic's identity: the cluster's id and the topic's own.

A topic that is deleted and made anew has another id.
"""

import asyncio
from typing import Any, Final

from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, for_code

from posstream.kafka.metadata import NO_ID, MetadataRequest

_TRIES: Final = 20
_PAUSE_SECONDS: Final = 0.5


async def topic_identity(client: Any, topic: str) -> str | None:
    """The ids of a cluster and a topic; a topic that is made anew under the name has another id.

    Args:
        client: an `AIOKafkaClient` that is connected.
        topic: its name.

    Returns:
        CLUSTER/TOPIC; None if the broker is too old to have ids of topics.

    Raises:
        KafkaError: if no broker answers, or none knows the topic.
    """
    for _ in range(_TRIES):
        try:
            return await _asked(client, topic)
        except KafkaError:  # one of several brokers may be away, or not know the topic yet
            await asyncio.sleep(_PAUSE_SECONDS)
    return await _asked(client, topic)


async def _asked(client: Any, topic: str) -> str | None:
    try:
        answer = await client.send(client.get_random_node(), MetadataRequest(topic))
    except (IncompatibleBrokerVersion, NotImplementedError):  # aiokafka's for an older broker
        return None
    ((error, _, topic_id, *_),) = answer.topics
    if error:
        raise for_code(error)(topic)
    return None if topic_id == NO_ID else f"{answer.cluster_id or '-'}/{topic_id}"
