"""Asks a broker for a topic's identity: the cluster's id and the topic's own.

A topic that is deleted and made anew has another id.

aiokafka asks for metadata in versions up to 5; brokers tell the ids of topics since version 10
(Kafka 2.8, KIP-516). This module adds that one request in that one version.
"""

import asyncio
import uuid
from io import BytesIO
from typing import Any, ClassVar, Final

from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

_METADATA: Final = 3
_VERSION: Final = 10
_TRIES: Final = 20
_PAUSE_SECONDS: Final = 0.5
_NO_ID: Final = uuid.UUID(int=0)
_TEXT: Final = CompactString("utf-8")


class _Uuid(AbstractType[uuid.UUID]):
    """Kafka's `uuid`: 16 bytes."""

    @classmethod
    def encode(cls, value: uuid.UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> uuid.UUID:
        return uuid.UUID(bytes=data.read(16))


class _MetadataResponse(Response):
    API_KEY = _METADATA
    API_VERSION = _VERSION
    SCHEMA: ClassVar[Schema] = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", _TEXT),
                ("port", Int32),
                ("rack", _TEXT),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", _TEXT),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("operations", Int32),
        ("tags", TaggedFields),
    )


class _MetadataRequest10(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = _METADATA
    API_VERSION = _VERSION
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA: ClassVar[Schema] = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("topic", _TEXT), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_operations", Boolean),
        ("include_topic_operations", Boolean),
        ("tags", TaggedFields),
    )


class _MetadataRequest(Request[_MetadataRequest10]):
    API_KEY = _METADATA

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def build(self, request_struct_class: type[_MetadataRequest10]) -> _MetadataRequest10:
        return request_struct_class([(_NO_ID, self._topic, {})], False, False, False, {})


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
        answer = await client.send(client.get_random_node(), _MetadataRequest(topic))
    except (IncompatibleBrokerVersion, NotImplementedError):  # aiokafka's for an older broker
        return None
    ((error, _, topic_id, *_),) = answer.topics
    if error:
        raise for_code(error)(topic)
    return None if topic_id == _NO_ID else f"{answer.cluster_id or '-'}/{topic_id}"
