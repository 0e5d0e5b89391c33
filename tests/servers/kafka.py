"""Apache Kafka in KRaft mode on loopback, from Maven coordinates: Java 17 and Maven are needed."""

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.integration.harness import free_port

VARIABLE = "POSSTREAM_TEST_BROKER"

_POM = Path(__file__).with_name("pom.xml")
_JARS = Path(".venv") / "kafka"
_START_SECONDS = 60


def lacking() -> str | None:
    """What this machine has not, if anything."""
    missing = [command for command in ("java", "mvn") if shutil.which(command) is None]
    return f"{' and '.join(missing)} not found" if missing else None


@contextlib.contextmanager
def running() -> Iterator[str]:
    """One node; yields its address as POSSTREAM_BROKER takes it."""
    _fetch_jars()
    with tempfile.TemporaryDirectory(prefix="posstream-kafka-") as folder:
        port, process = _start(Path(folder))
        try:
            _wait(port, process, Path(folder) / "kafka.log")
            yield f"kafka://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def _fetch_jars() -> None:
    done = _JARS / f"{_POM.stat().st_size}.done"
    if done.exists():
        return
    copy = ["mvn", "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies"]
    subprocess.run([*copy, f"-DoutputDirectory={_JARS.absolute()}"], check=True)
    done.touch()


def _start(folder: Path) -> tuple[int, subprocess.Popen[bytes]]:
    port, controller = free_port(), free_port()
    properties = folder / "server.properties"
    properties.write_text(
        f"""
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={folder / "data"}
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
"""
    )
    java = ["java", "-Xmx512m", "-cp", f"{_JARS}/*"]
    storage = [*java, "kafka.tools.StorageTool"]
    cluster = subprocess.run(
        [*storage, "random-uuid"], check=True, capture_output=True, text=True
    ).stdout.strip()
    with (folder / "kafka.log").open("wb") as log:
        subprocess.run(
            [*storage, "format", "-t", cluster, "-c", str(properties)],
            check=True,
            stdout=log,
            stderr=log,
        )
        server = [*java, "kafka.Kafka", str(properties)]
        return port, subprocess.Popen(server, stdout=log, stderr=log)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up_at = time.monotonic() + _START_SECONDS
    while time.monotonic() < give_up_at and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.2)
    raise RuntimeError(f"Kafka did not start: {log.read_text(errors='replace')[-2000:]}")
