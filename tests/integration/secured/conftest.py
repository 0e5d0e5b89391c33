"""One secured Kafka for all tests of this folder."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from posstream.streaming import patches
from tests.integration.secured.users import (
    BENCHMARKS,
    FORBIDDEN,
    FORBIDDEN_USERS,
    POSSTREAM,
    documented,
)
from tests.servers import kafka, secured
from tests.servers.needed import need


@pytest.fixture(scope="package", autouse=True)
def _patched() -> None:
    """As every process of posstream does at its start."""
    patches.install()


@pytest.fixture(scope="package")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[secured.SecuredKafka]:
    need(kafka)
    folder = tmp_path_factory.mktemp("secured")
    with secured.running(folder, POSSTREAM, BENCHMARKS, *FORBIDDEN_USERS) as made:
        asyncio.run(_prepared(made))
        yield made


@pytest.fixture(scope="package")
def granted(started: secured.SecuredKafka) -> None:
    """The rights of the page, granted word for word."""
    for arguments in documented():
        own = list(arguments)
        own[own.index("--bootstrap-server") + 1] = started.cluster.servers[0]
        at = own.index("--command-config")
        del own[at : at + 2]
        kafka.acls_tool(*own)


async def _prepared(made: secured.SecuredKafka) -> None:
    await made.cluster.ready()
    admin = AIOKafkaAdminClient(bootstrap_servers=made.cluster.servers)
    await admin.start()
    await secured.grant(admin, *FORBIDDEN)
    await admin.close()


@pytest.fixture
async def admin(started: secured.SecuredKafka) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client with every right; the topics are gone afterwards."""
    admin = AIOKafkaAdminClient(bootstrap_servers=started.cluster.servers)
    await admin.start()
    yield admin
    async with asyncio.timeout(30):
        while names := await admin.list_topics():
            await admin.delete_topics(names)
            await asyncio.sleep(0.1)
    await admin.close()
