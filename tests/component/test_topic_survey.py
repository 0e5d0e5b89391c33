"""Topics and groups as a broker has them: how much there is, how far a group is, what came last."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import aiokafka
import pytest
from aiokafka.protocol.offset import OffsetRequest

from posstream.domain.errors import BrokerUnreachable
from posstream.kafka.counts import group_lag, lag_of
from posstream.kafka.embedded_broker import EmbeddedBroker
from posstream.kafka.extents import extents
from posstream.kafka.preflight import prepare_topics
from posstream.kafka.record import Record
from posstream.kafka.survey import Group, TopicSurvey
from posstream.kafka.topics import DAY_MS, TopicSpec
from posstream.kafka.writer import TopicWriter
from posstream.plugins.discovery import find_plugins
from posstream.plugins.groups import groups_of
from tests.integration.harness import free_port

SALES = TopicSpec("sales", "k", "v", DAY_MS)
MISSING = TopicSpec("missing", "k", "v", DAY_MS)
TILLS = Group(name="tills", what="the tills", topics=("sales", "missing"))


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[EmbeddedBroker]:
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    await prepare_topics([broker.address], [SALES], partitions=2, replication=1)
    yield broker
    broker.stop()


async def write(broker: EmbeddedBroker, *values: bytes | None, partition: int = 0) -> None:
    async with TopicWriter([broker.address]) as writer:
        for value in values:
            await writer.write(Record("sales", b"key", value, partition=partition))


async def commit(broker: EmbeddedBroker, partition: int, offset: int) -> None:
    place = aiokafka.TopicPartition("sales", partition)
    async with aiokafka.AIOKafkaConsumer(
        bootstrap_servers=broker.address, group_id=TILLS.name, enable_auto_commit=False
    ) as consumer:
        consumer.assign([place])
        await consumer.commit({place: offset})


async def test_lag_is_told_by_topic_and_partition_also_by_the_embedded_broker(
    broker: EmbeddedBroker,
) -> None:
    servers = [broker.address]
    survey = TopicSurvey(servers, [SALES, MISSING], [TILLS])
    await write(broker, b"1", b"2", b"3")
    await write(broker, b"4", partition=1)
    await commit(broker, 0, 2)
    found = await survey.survey()
    told = [(it.spec.name, [(e.partition, e.first, e.end) for e in it.extents], it.offsets)
            for it in found.topics]  # fmt: skip
    assert told == [("missing", [], 0), ("sales", [(0, 0, 3), (1, 0, 1)], 4)]
    (group,) = found.groups
    assert (group.group, group.topic, group.lag) == (TILLS, "sales", 2)
    assert [(it.partition, it.committed, it.lag) for it in group.places] == [
        (0, 2, 1),
        (1, None, 1),
    ]
    assert await group_lag(servers, TILLS.name, TILLS.topics) == 2
    assert await group_lag(servers, "nobody", ["missing"]) == 0
    (alone,) = (await survey.survey("sales")).topics
    assert alone.spec == SALES
    assert (await survey.survey("foreign")).topics == []


async def test_the_newest_messages_come_first_and_those_of_others_are_not_shown(
    broker: EmbeddedBroker,
) -> None:
    survey = TopicSurvey([broker.address], [SALES], [])
    assert await survey.newest("sales", 5) == []
    await write(broker, b"1", b"2", None)
    await write(broker, b"4", partition=1)
    found = await survey.newest("sales", 3)
    assert found is not None
    assert [(it.partition, it.offset, it.value) for it in found] == [
        (1, 0, b"4"),
        (0, 2, None),
        (0, 1, b"2"),
    ]
    assert {it.key for it in found} == {b"key"}
    assert await survey.newest("foreign", 5) is None


async def test_a_broker_that_is_away_is_told() -> None:
    survey = TopicSurvey([f"127.0.0.1:{free_port()}"], [SALES], [TILLS])
    with pytest.raises(BrokerUnreachable):
        await survey.survey()
    with pytest.raises(BrokerUnreachable):
        await survey.newest("sales", 1)


class ChangingCluster:
    """aiokafka's client: the leader of the only partition is known at the second question."""

    def __init__(self) -> None:
        self.questions = 0

    async def fetch_all_metadata(self) -> "ChangingCluster":
        self.questions += 1
        return self

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return {0} if topic == "sales" else None

    def leader_for_partition(self, _: object) -> int:
        return -1 if self.questions == 1 else 7

    async def send(self, node: int, request: OffsetRequest) -> SimpleNamespace:
        assert node == 7
        ((topic, ((number, moment),)),) = request._topics
        return SimpleNamespace(topics=[(topic, [(number, 0, -1, {-2: 3, -1: 9}[moment])])])


async def test_a_cluster_that_changes_is_asked_again() -> None:
    cluster = ChangingCluster()
    assert await extents(cluster, ["sales", "missing"]) == {"sales": {0: (3, 9)}, "missing": {}}
    assert cluster.questions == 2


@pytest.mark.parametrize(
    ("committed", "lag"), [(None, 7), (0, 7), (5, 5), (10, 0), (12, 0)], ids=str
)
def test_what_is_gone_from_a_partition_is_no_lag(committed: int | None, lag: int) -> None:
    assert lag_of(committed, first=3, end=10) == lag


def test_each_plugin_and_each_projection_has_a_group() -> None:
    plugins = find_plugins()
    groups = {it.name: it for it in groups_of(plugins)}
    assert groups["posstream"].what == "the plugin customer_lookup"
    assert groups["posstream-forgetting-projection"].what == "the rows of forgetting"
    for plugin in plugins:
        assert groups[plugin.consumer_group].topics == plugin.consumes
        assert plugin.projection_group in groups
