"""PostgreSQL on loopback in a folder of its own: `initdb` is Debian's or on the path."""

import asyncio
import contextlib
import getpass
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg

from tests.servers.process import ServerProcess, lasting_ports

VARIABLE = "POSSTREAM_TEST_DATABASE_URL"

_ANSWER_SECONDS = 2
_STOP_SECONDS = 10


def lacking() -> str | None:
    """What this machine has not, if anything."""
    return None if _binaries() else "initdb not found"


class Server(ServerProcess):
    """PostgreSQL with one role, `posstream`, that may create databases."""

    #: Clients are cut off, and everything is written.
    stop_signal = signal.SIGINT

    def __init__(self, binaries: Path, folder: Path, port: int, user: str | None) -> None:
        # Its shared memory is in the folder too, so that nothing stays behind after a kill.
        settings = ("listen_addresses=127.0.0.1", "dynamic_shared_memory_type=mmap")
        super().__init__(
            [
                *(
                    f"{binaries}/postgres",
                    "-D",
                    f"{folder}/data",
                    "-p",
                    str(port),
                    "-k",
                    str(folder),
                ),
                *(argument for setting in settings for argument in ("-c", setting)),
            ],
            folder / "log",
            user=user,
        )
        self.port = port

    @property
    def url(self) -> str:
        """As POSSTREAM_DATABASE_URL takes it."""
        return f"postgresql+asyncpg://posstream@127.0.0.1:{self.port}/postgres"

    async def answers(self) -> bool:
        with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError):
            connection = await self.connect(_ANSWER_SECONDS)
            await connection.close()
            return True
        return False

    async def connect(self, seconds: float) -> asyncpg.Connection:
        """A connection of your own.

        Raises:
            OSError: nobody listens.
            TimeoutError: nobody answers.
            asyncpg.PostgresError: it starts or stops.
        """
        return await asyncpg.connect(
            host="127.0.0.1",
            port=self.port,
            user="posstream",
            database="postgres",
            ssl=False,
            timeout=seconds,
        )

    def end(self) -> None:
        """Gone, in whatever state it was."""
        if self._process is not None and self.running:
            self.resume()
            # "Immediate": it gives its shared memory back, which a kill does not.
            self._process.send_signal(signal.SIGQUIT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_SECONDS)
        self.kill()


@contextlib.contextmanager
def server(*, tls: bool = False) -> Iterator[Server]:
    """A server that is started; `ready` waits for it. It is gone afterwards.

    Args:
        tls: it has a certificate of its own making, `server.crt` in its folder, for `localhost`.
    """
    binaries = _binaries()
    assert binaries is not None
    # PostgreSQL refuses to run as root; Debian's package brings this user.
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="posstream-postgres-") as name:
        folder = Path(name)
        shutil.chown(folder, user or getpass.getuser())
        subprocess.run(
            [
                *(f"{binaries}/initdb", "-D", folder / "data", "-U", "posstream", "-A", "trust"),
                *("-E", "UTF8", "--no-sync"),
            ],
            check=True,
            user=user,
            cwd=folder,
            stdout=subprocess.DEVNULL,
        )
        if tls:
            _certify(folder, user)
        (port,) = lasting_ports(1)
        made = Server(binaries, folder, port, user)
        try:
            made.start()
            yield made
        finally:
            made.end()


def _certify(folder: Path, user: str | None) -> None:
    certificate, key = folder / "server.crt", folder / "server.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    for path in (certificate, key):
        shutil.chown(path, user or getpass.getuser())
    key.chmod(0o600)
    folder.chmod(0o755)
    with (folder / "data" / "postgresql.conf").open("a") as settings:
        settings.write(f"ssl = on\nssl_cert_file = '{certificate}'\nssl_key_file = '{key}'\n")


@contextlib.contextmanager
def running() -> Iterator[str]:
    """A server that answers; yields the URL of a role that may create databases."""
    with server() as made:
        asyncio.run(made.ready())
        yield made.url


def _binaries() -> Path | None:
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
