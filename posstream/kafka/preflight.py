"""Creates missing topics before a worker starts, and refuses the start if existing ones misfit.

Faust would create topics without our retention, and would notice different partition counts
only at the first write to the table, by dying.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from posstream.domain.errors import StartRefused
from posstream.kafka.connection import admin_of, asking
from posstream.kafka.counts import partition_counts
from posstream.kafka.refusals import RIGHTS, reason, refusal_of
from posstream.kafka.rights import OF_TOPICS, Right, missing_rights
from posstream.kafka.security import Brokers, SecuredBrokers
from posstream.kafka.topics import EMBEDDED_CLUSTER, TopicSpec
from posstream.streaming.co_partitioning import misfit
from posstream.streaming.table_spec import TableSpec

log = logging.getLogger(__name__)

#: How long a broker may take to come up beside us before the start is refused.
PATIENCE_SECONDS: Final = 30
_TOPIC_ALREADY_EXISTS: Final = 36
_TOMBSTONES: Final = "delete.retention.ms"
_POLICY: Final = "cleanup.policy"


async def prepare_topics(  # noqa: PLR0913 - one for each setting of a topic
    servers: Brokers,
    specs: Iterable[TopicSpec],
    *,
    tables: Iterable[TableSpec] = (),
    partitions: int,
    replication: int,
    patience_seconds: float = PATIENCE_SECONDS,
    groups: Iterable[str] = (),
    only_ask: bool = False,
) -> tuple[str, Sequence[str]]:
    """Create the missing topics and check the existing ones.

    Args:
        servers: host:port of the brokers.
        specs: the topics.
        tables: their topics must have `partitions` partitions if they exist.
        partitions: of a new topic whose spec says nothing else.
        replication: of a new topic.
        patience_seconds: how long a broker may take to come up.
        groups: consumer groups that must be open to us, if the broker is secured.
        only_ask: ask the broker whether it would succeed; no topic is created.

    Returns:
        the cluster's id, and the names of the topics that were missing.

    Raises:
        StartRefused: if no broker answers, or none lets us in; if a right is missing; if a topic
            cannot be created or seen; if the source topics and a table's changelog differ in
            partitions; or if a topic would lose events.
    """
    specs = list(specs)
    async with _connected(servers, patience_seconds) as admin:
        cluster = await _cluster_id(admin)
        await _refuse_without_rights(servers, [spec.name for spec in specs], groups)
        missing = await _compared(admin, cluster, specs, tables, partitions)
        # The embedded broker would create the topics, for it ignores validate_only; it refuses
        # none.
        if missing and not (only_ask and cluster == EMBEDDED_CLUSTER):
            await _create(admin, missing, partitions, replication, validate_only=only_ask)
        return cluster, [spec.name for spec in missing]


async def check_reader(
    servers: Brokers,
    topics: Sequence[str],
    groups: Iterable[str],
    *,
    patience_seconds: float = PATIENCE_SECONDS,
) -> str:
    """The cluster's id, for a process that reads topics and writes none.

    Args:
        servers: host:port of the brokers.
        topics: to be read; those that are missing are made by a worker.
        groups: to be joined.
        patience_seconds: how long a broker may take to come up.

    Raises:
        StartRefused: if no broker answers, or none lets us in; if a right is missing.
    """
    async with _connected(servers, patience_seconds) as admin:
        cluster = await _cluster_id(admin)
        await _refuse_without_rights(servers, topics, groups, rights=[Right.Read])
        return cluster


async def _cluster_id(admin: Any) -> str:
    return str((await admin.describe_cluster()).get("cluster_id"))


async def _refuse_without_rights(
    servers: Brokers,
    topics: Sequence[str],
    groups: Iterable[str],
    *,
    rights: Sequence[Right] = OF_TOPICS,
) -> None:
    """Refuse a start if a secured broker's ACLs forbid what the process does."""
    if not isinstance(servers, SecuredBrokers):
        return
    async with asking(servers) as client:
        missing = await missing_rights(client, topics, groups, rights=rights)
    if missing:
        said = "; ".join(f"{right} {', '.join(names)}" for right, names in missing.items())
        raise StartRefused(
            f"the broker at {', '.join(servers)} does not grant {_principal(servers)} "
            f"{said}: add an ACL ({RIGHTS})"
        )


def _principal(servers: SecuredBrokers) -> str:
    by_name = servers.security.username
    if by_name is None:
        return "the owner of POSSTREAM_BROKER_CERT_FILE"
    return f"POSSTREAM_BROKER_USERNAME {by_name}"


async def _compared(
    admin: Any,
    cluster: str,
    specs: Sequence[TopicSpec],
    tables: Iterable[TableSpec],
    partitions: int,
) -> Sequence[TopicSpec]:
    """The missing topics; refuses a start if an existing topic does not fit."""
    existing = await partition_counts(admin, [spec.name for spec in specs])
    for table in tables:
        counts = {name: existing[name] for name in table.topics if name in existing}
        why = misfit(table.topics, counts, partitions)
        if why is not None:
            raise StartRefused(why)
    if cluster != EMBEDDED_CLUSTER:  # the embedded broker has no policies
        await _compare_policies(admin, [spec for spec in specs if spec.name in existing])
    return [spec for spec in specs if spec.name not in existing]


async def tombstones_kept_ms(servers: Brokers, changelogs: Sequence[str]) -> int | None:
    """The shortest time that a changelog keeps deletions; None if the broker does not tell."""
    async with _connected(servers, PATIENCE_SECONDS) as admin:
        told = await _settings_of(admin, changelogs, _TOMBSTONES)
        return min(map(int, told.values()), default=None)


async def _settings_of(admin: Any, topics: Sequence[str], setting: str) -> Mapping[str, str]:
    """Topic -> the value of its setting, as far as the broker tells it."""
    wanted = [ConfigResource(ConfigResourceType.TOPIC, name, {setting: None}) for name in topics]
    return {
        topic: str(value)
        for answer in await admin.describe_configs(wanted)
        for _, _, _, topic, entries in answer.resources
        for name, value, *_ in entries
        if name == setting
    }


async def _compare_policies(admin: Any, specs: Sequence[TopicSpec]) -> None:
    policies = await _settings_of(admin, [spec.name for spec in specs], _POLICY)
    for spec in specs:
        policy = policies.get(spec.name, spec.cleanup_policy)
        if "compact" in policy and "compact" not in spec.cleanup_policy:
            raise StartRefused(
                f"topic {spec.name} has {_POLICY}={policy}, and Kafka would drop all events of a "
                f"key but the newest: set {_POLICY}={spec.cleanup_policy} with kafka-configs.sh"
            )


@asynccontextmanager
async def _connected(servers: Brokers, patience_seconds: float) -> AsyncIterator[Any]:
    """An admin client.

    Raises:
        StartRefused: if no broker answers, or one refuses us; with the reason.
    """
    give_up_at = time.monotonic() + patience_seconds
    while True:
        admin = admin_of(servers)
        try:
            await admin.start()
        except (KafkaError, OSError) as why:
            await admin.close()
            refusal = await refusal_of(servers)
            over = time.monotonic() >= give_up_at
            if refusal is not None and (refusal.lasts or over):
                raise StartRefused(refusal.sentence) from why
            if over:
                raise StartRefused(
                    f"no Kafka broker answers at {', '.join(servers)} ({reason(why)}): "
                    "start one (`posstream dev` brings its own) or set POSSTREAM_BROKER"
                ) from why
            log.info("waiting for a broker at %s", ", ".join(servers))
            await asyncio.sleep(0.5)
        else:
            break
    try:
        yield admin
    except (KafkaError, OSError) as why:
        raise StartRefused(f"the broker at {', '.join(servers)} refuses: {reason(why)}") from why
    finally:
        await admin.close()


async def _create(
    admin: Any,
    specs: Sequence[TopicSpec],
    partitions: int,
    replication: int,
    *,
    validate_only: bool = False,
) -> None:
    response = await admin.create_topics(
        [
            NewTopic(
                name=spec.name,
                num_partitions=spec.partitions or partitions,
                replication_factor=replication,
                topic_configs=spec.config,
            )
            for spec in specs
        ],
        validate_only=validate_only,
    )
    for name, code, *details in response.topic_errors:
        if code == _TOPIC_ALREADY_EXISTS:  # another worker was faster
            continue
        if code:
            error = for_code(code)
            words = next((detail for detail in details if detail), None)
            raise StartRefused(
                f"topic {name} cannot be created: {getattr(error, 'message', error.__name__)}"
                f"{f': {words}' if words else ''}"
            )
        if not validate_only:
            log.info("created topic %s", name)
