"""The benchmarks on a secured Kafka that is given: every kind of client comes in."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from agents.customer_lookup import topics
from tests.integration.secured import ways
from tests.integration.secured.users import BENCHMARKS
from tests.servers import secured
from tests.servers.secured import password_of

pytest.importorskip("confluent_kafka", reason="needs the extra bench, as in make test-bench")
pytestmark = pytest.mark.kafka

#: One for each client and framework.
CONTESTANTS = "posstream,batch_aiokafka,confluent,faststream,quix"


def measured(environ: dict[str, str], results: Path) -> subprocess.CompletedProcess[str]:
    own = {f"POSSTREAM_{name}": it for name, it in environ.items() if name != "BROKER"}
    return subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks", "hits", "--broker", environ["BROKER"]),
            *("--rounds", "1", "--events", "5000", "--customers", "100"),
            *("--contestants", CONTESTANTS, "--results", str(results)),
        ],
        env=os.environ | own,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("way", ["SCRAM-SHA-512", "mutual"])
async def test_every_contestant_answers_on_a_secured_broker_and_leaves_nothing(
    started: secured.SecuredKafka, admin: AIOKafkaAdminClient, tmp_path: Path, way: str
) -> None:
    ended = measured(ways.settings(started, way, BENCHMARKS), tmp_path / "results.json")
    shown = ended.stdout + ended.stderr
    assert ended.returncode == 0, shown
    assert password_of(BENCHMARKS) not in shown
    (found,) = json.loads((tmp_path / "results.json").read_text()).values()
    assert "a given Kafka" in json.dumps(found)
    assert [name for name in await admin.list_topics() if not name.startswith("__")] == []


async def test_a_broker_that_somebody_uses_is_left_alone(
    started: secured.SecuredKafka, admin: AIOKafkaAdminClient, tmp_path: Path
) -> None:
    from aiokafka.admin import NewTopic

    await admin.create_topics([NewTopic(topics.CUSTOMER_IDENTIFIED, 1, 1)])
    environ = ways.settings(started, "SCRAM-SHA-512", BENCHMARKS)
    ended = measured(environ, tmp_path / "results.json")
    assert ended.returncode != 0
    said = f"the given broker has topics of posstream, such as {topics.CUSTOMER_IDENTIFIED}"
    assert said in ended.stderr
    assert topics.CUSTOMER_IDENTIFIED in await admin.list_topics()
