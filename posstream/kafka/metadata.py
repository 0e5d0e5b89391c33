"""The requests about topics and groups whose answers aiokafka cannot read.

aiokafka asks for metadata in versions up to 5. Brokers tell the ids of topics since version 10
(Kafka 2.8, KIP-516), and version 10 is the last that tells what a client may do with the cluster.
It asks about groups in version 3, but leaves what the client may do with them in the answer unread.
"""

import uuid
from io import BytesIO
from typing import ClassVar, Final

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Array,
    Boolean,
    Bytes,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    String,
    TaggedFields,
)

_METADATA: Final = 3
_VERSION: Final = 10
_GROUPS: Final = 15
_GROUPS_VERSION: Final = 3
_STRING: Final = String("utf-8")
#: In place of the id of a topic that has none.
NO_ID: Final = uuid.UUID(int=0)
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


class MetadataRequest(Request[_MetadataRequest10]):
    """Asks about topics, and creates none.

    Args:
        topics: their names.
        operations: also ask what the client may do with them, and with the cluster (KIP-430).
    """

    API_KEY = _METADATA

    def __init__(self, *topics: str, operations: bool = False) -> None:
        self._topics = topics
        self._operations = operations

    def build(self, request_struct_class: type[_MetadataRequest10]) -> _MetadataRequest10:
        """The request of this version."""
        asked: list[tuple[uuid.UUID, str, dict[int, bytes]]] = [
            (NO_ID, topic, {}) for topic in self._topics
        ]
        return request_struct_class(asked, False, self._operations, self._operations, {})


class _GroupsResponse(Response):
    API_KEY = _GROUPS
    API_VERSION = _GROUPS_VERSION
    SCHEMA: ClassVar[Schema] = Schema(
        ("throttle_time_ms", Int32),
        (
            "groups",
            Array(
                ("error_code", Int16),
                ("group", _STRING),
                ("state", _STRING),
                ("protocol_type", _STRING),
                ("protocol", _STRING),
                (
                    "members",
                    Array(
                        ("member_id", _STRING),
                        ("client_id", _STRING),
                        ("client_host", _STRING),
                        ("metadata", Bytes),
                        ("assignment", Bytes),
                    ),
                ),
                ("operations", Int32),
            ),
        ),
    )


class _GroupsRequest3(RequestStruct):
    API_KEY = _GROUPS
    API_VERSION = _GROUPS_VERSION
    RESPONSE_TYPE = _GroupsResponse
    SCHEMA: ClassVar[Schema] = Schema(("groups", Array(_STRING)), ("include_operations", Boolean))


class GroupRequest(Request[_GroupsRequest3]):
    """Asks a group's coordinator what the client may do with the group (KIP-430)."""

    API_KEY = _GROUPS

    def __init__(self, group: str) -> None:
        self._group = group

    def build(self, request_struct_class: type[_GroupsRequest3]) -> _GroupsRequest3:
        """The request of this version."""
        return request_struct_class([self._group], True)
