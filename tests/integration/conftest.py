import os
from collections.abc import Iterator

import pytest

from posstream.kafka.embedded_broker import EmbeddedBroker
from tests.integration.harness import free_port


@pytest.fixture(scope="package")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The broker of this suite: the one that is given, else an embedded one."""
    given = os.environ.get("POSSTREAM_TEST_BROKER")
    if given:
        yield given.removeprefix("kafka://")
        return
    broker = EmbeddedBroker(free_port(), log_file=tmp_path_factory.mktemp("broker") / "broker.log")
    broker.start()
    yield broker.address
    broker.stop()
