"""A whole worker on a secured Kafka: its child processes and commands come in as it does."""

import asyncio
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import aiohttp
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from tests.integration.harness import Scan, Tally, Worker, foreign_client, produce, until
from tests.integration.secured import ways
from tests.integration.secured.users import POSSTREAM
from tests.servers import secured
from tests.servers.secured import password_of

pytestmark = pytest.mark.kafka

#: Commands with each kind of client: admin, group-less reader, writer, and a child's reader.
COMMANDS = (
    ("check",),
    ("dlq", "list"),
    ("send", "basket-2", "+1234567890"),
    ("fraud", "preview", "-"),
)
RULE = {
    "id": "voids",
    "name": "Voids",
    "severity": "LOW",
    "on": ["BASKET_VOIDED"],
    "group_by": ["employee_id"],
    "function": "COUNT",
    "operator": ">=",
    "limit": 3,
    "window_seconds": 3600,
}
SECRETS = (password_of(POSSTREAM), ways.SECRET)


def process_lines() -> Iterator[str]:
    """The command line of each process of this machine."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield file.read_bytes().decode(errors="replace")
        except OSError:  # it has ended
            continue


async def text_of(worker: Worker, path: str) -> str:
    async with aiohttp.ClientSession() as http, http.get(f"{worker.url}{path}") as response:
        return await response.text()


@pytest.mark.usefixtures("granted")
@pytest.mark.parametrize(
    ("way", "commands"), [("SCRAM-SHA-512", COMMANDS), ("OAUTHBEARER", COMMANDS[:1])]
)
async def test_a_worker_and_its_commands(
    started: secured.SecuredKafka,
    admin: AIOKafkaAdminClient,
    tmp_path: Path,
    way: str,
    commands: Sequence[tuple[str, ...]],
) -> None:
    async with ways.token_endpoint(started) as tokens:
        given = ways.settings(started, way, POSSTREAM, token_url=tokens.url)
        own = {name.lower(): raw for name, raw in given.items() if name != "BROKER"}
        worker = Worker(given["BROKER"].removeprefix("kafka://"), tmp_path / "data", **own)
        worker.start()
        try:
            await worker.ready()
            shown = await _used(worker, started, commands)
            assert worker.running, worker.log[-3000:]
        finally:
            code = worker.stop(60)
        assert code == 0, worker.log[-3000:]
    shown += worker.log
    assert [secret for secret in SECRETS if secret in shown] == []
    assert "AuthorizationFailed" not in worker.log


async def _used(
    worker: Worker, kafka: secured.SecuredKafka, commands: Sequence[tuple[str, ...]]
) -> str:
    """Use every client of a worker and of commands; returns what they show."""
    scan = Scan(str(uuid.uuid4()), "basket-1", "+1234567890")
    async with foreign_client(";".join(kafka.cluster.servers)) as till:
        await produce(till, [scan])
        (answer,) = await Tally(till).all_of([scan])
    assert answer["customer"]["customer_id"] == "CUST_001"
    begun = await worker.graphql(
        'mutation { startBasket(employeeId: 1, terminalId: "t1") { success } }'
    )
    assert begun == {"data": {"startBasket": {"success": True}}}

    async def name() -> object:
        found = await worker.graphql('{ customer(customerId: "CUST_001") { firstName } }')
        return found["data"]["customer"]

    async def plugins() -> list[float]:
        named = ("customer_lookup", "baskets", "fraud_detection")
        return [await worker.metric("posstream_plugin_up", plugin=it) for it in named]

    await until(name, {"firstName": "John"})
    await until(plugins, [1.0, 1.0, 1.0])
    shown = "\0".join(process_lines())
    printed = await asyncio.gather(*(asyncio.to_thread(_run, worker, it) for it in commands))
    shown += "".join(printed)
    for path in ("/", "/metrics", "/health/ready"):
        shown += await text_of(worker, path)
    return shown


def _run(worker: Worker, arguments: tuple[str, ...]) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "posstream.cli", *arguments],
        env=worker._environment,
        input=json.dumps(RULE),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, f"{arguments}: {ran.stdout}{ran.stderr}"
    return ran.stdout + ran.stderr
