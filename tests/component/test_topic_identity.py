"""The ids of clusters and topics, as the embedded broker tells them; Kafka tells them likewise."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    IncompatibleBrokerVersion,
    NodeNotReadyError,
    UnknownTopicOrPartitionError,
)

from posstream.kafka import topic_identity as module
from posstream.kafka.embedded_broker import EmbeddedBroker, free_port
from posstream.kafka.metadata import NO_ID
from posstream.kafka.topic_identity import topic_identity
from posstream.kafka.topics import EMBEDDED_CLUSTER


@pytest.fixture
async def admin(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AIOKafkaAdminClient]:
    broker = EmbeddedBroker(free_port(), log_file=tmp_path_factory.mktemp("broker") / "log")
    broker.start()
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
    await admin.start()
    yield admin
    await admin.close()
    broker.stop()


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0)


async def test_a_topic_that_is_made_anew_has_another_identity(admin: AIOKafkaAdminClient) -> None:
    identities = []
    for _ in range(2):
        await admin.create_topics([NewTopic("changelog", 2, 1), NewTopic("other", 2, 1)])
        first = await topic_identity(admin._client, "changelog")
        assert first == await topic_identity(admin._client, "changelog"), "it stays the same"
        identities += [first, await topic_identity(admin._client, "other")]
        await admin.delete_topics(["changelog", "other"])
    assert len(set(identities)) == 4
    assert {identity and identity.partition("/")[0] for identity in identities} == {
        EMBEDDED_CLUSTER
    }


async def test_a_topic_that_no_broker_knows_is_an_error(admin: AIOKafkaAdminClient) -> None:
    with pytest.raises(UnknownTopicOrPartitionError):
        await topic_identity(admin._client, "nowhere")


class Client:
    """A client whose broker answers, or fails, as it is told."""

    def __init__(self, *outcomes: Any) -> None:
        self._outcomes = list(outcomes)

    def get_random_node(self) -> int:
        return 1

    async def send(self, _: int, __: Any) -> Any:
        await asyncio.sleep(0)
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def told(topic_id: Any, *, cluster: str | None = "c", error: int = 0) -> Any:
    return SimpleNamespace(cluster_id=cluster, topics=[(error, "t", topic_id, False, [], 0, {})])


@pytest.mark.parametrize(
    "older", [IncompatibleBrokerVersion("3"), NotImplementedError(), told(NO_ID)]
)
async def test_a_broker_without_ids_of_topics_has_no_identity(older: Any) -> None:
    assert await topic_identity(Client(older), "t") is None


async def test_a_broker_that_is_away_or_has_not_heard_of_the_topic_is_asked_again() -> None:
    client = Client(NodeNotReadyError(), told(NO_ID, error=3), told("id"))
    assert await topic_identity(client, "t") == "c/id"


async def test_a_cluster_without_an_id_is_told_by_its_topic_alone() -> None:
    assert await topic_identity(Client(told("id", cluster=None)), "t") == "-/id"
