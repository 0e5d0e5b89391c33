"""Broken plugins beside the lookups of tills: each is told by name, and none holds up an answer."""

import re
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from posstream.domain.errors import StartRefused
from posstream.kafka.embedded_broker import EmbeddedBroker
from posstream.kafka.topics import DAY_MS, TopicSpec
from posstream.plugin import Built, Kit, Plugin
from posstream.plugins.discovery import find_plugins
from tests.integration.harness import (
    Tally,
    Worker,
    environment,
    foreign_client,
    free_port,
    mixed_scans,
    produce,
)
from tests.plugins.checkouts import BROKEN, TOY, copied_checkout, installed_package

LOOKUPS = 2_000
FAILED = ("broken_agent", "broken_import", "broken_migration")


async def test_2_000_lookups_are_answered_beside_plugins_that_break(tmp_path: Path) -> None:
    broken = sorted(folder for folder in BROKEN.iterdir() if (folder / "__init__.py").is_file())
    assert len(broken) == 4
    checkout = copied_checkout(tmp_path / "checkout", *broken)
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    worker = Worker(broker.address, tmp_path / "data", api_query="?generate=1", cwd=checkout)
    try:
        worker.start()
        await worker.ready()
        # A loop of dead letters costs the machine time, and nobody's answer.
        await worker.configure(timeout_seconds=60, deadline_seconds=120)
        scans = mixed_scans(LOOKUPS, 200, "b")
        async with foreign_client(broker.address) as client:
            await produce(client, scans)
            answers = await Tally(client).all_of(scans, 150)
        assert [it["reason"] for it in answers if "customer" not in it] == []
        async with aiohttp.ClientSession(headers={"Accept": "text/html"}) as http:
            async with http.get(f"{worker.url}/health/ready") as response:
                health = await response.json()
            async with http.get(f"{worker.url}/") as response:
                console = await response.text()
        assert health["status"] == "degraded"
        told = " ".join(map(str, health.values()))
        assert [name for name in FAILED if name not in told] == []
        assert [name for name in FAILED if name not in console] == []
        up = {name: await worker.metric("posstream_plugin_up", plugin=name) for name in FAILED}
        assert up == dict.fromkeys(FAILED, 0)
        assert await worker.metric("posstream_plugin_up", plugin="customer_lookup") == 1
    finally:
        worker.kill()
        broker.stop()
    assert re.search(r"broken_import.*broken on purpose", worker.log)


@pytest.mark.parametrize(
    ("package", "told"),
    [
        (TOY, "name toy: the folder agents/toy and the entry point somebodys_toy:PLUGIN; remove"),
        (BROKEN / "broken_import", "FAILED   the plugin broken_import cannot be loaded ("),
    ],
)
def test_a_command_tells_of_an_installed_plugin_that_cannot_be_taken(
    tmp_path: Path, package: Path, told: str
) -> None:
    checkout = copied_checkout(tmp_path / "checkout", TOY)
    installed = installed_package(tmp_path / "installed", package)
    done = subprocess.run(
        [sys.executable, "-m", "posstream.cli", "check"],
        cwd=checkout,
        env=environment(broker="kafka://127.0.0.1:1", datadir=tmp_path / "data")
        | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert told in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def claims(name: str) -> Plugin:
    def build(_: Kit) -> Built:
        return Built()

    return Plugin(
        name=name,
        description="Claims a topic.",
        build=build,
        topics=(TopicSpec("claimed-twice", "anything", "Claimed", DAY_MS),),
    )


def test_two_that_claim_one_topic_are_refused_with_both_named() -> None:
    loaders = {name: lambda name=name: claims(name) for name in ("first", "second")}
    with pytest.raises(StartRefused, match=r"claimed-twice.*first.*second"):
        find_plugins("", loaders)
