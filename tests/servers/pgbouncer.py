"""PgBouncer on loopback before a PostgreSQL: Debian's package.

In transaction mode: each transaction may get another session.
"""

import contextlib
import getpass
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg

from tests.servers.process import ServerProcess, lasting_ports

#: Sessions on the server: fewer than a worker's connections.
SESSIONS = 3
_ANSWER_SECONDS = 2


def lacking() -> str | None:
    """What this machine has not, if anything."""
    return None if _binary() else "pgbouncer not found"


class Pooler(ServerProcess):
    """One PgBouncer."""

    def __init__(self, configuration: Path, port: int, user: str | None) -> None:
        binary = _binary()
        assert binary is not None
        super().__init__([binary, str(configuration)], configuration.with_suffix(".log"), user=user)
        self.port = port

    def url(self, database: str, user: str = "posstream") -> str:
        """As POSSTREAM_DATABASE_URL takes it."""
        return f"postgresql+asyncpg://{user}@127.0.0.1:{self.port}/{database}"

    async def answers(self) -> bool:
        with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError):
            connection = await asyncpg.connect(
                host="127.0.0.1",
                port=self.port,
                user="posstream",
                database="pgbouncer",
                ssl=False,
                timeout=_ANSWER_SECONDS,
                statement_cache_size=0,
            )
            await connection.close()
            return True
        return False


@contextlib.contextmanager
def pooler(server_port: int, databases: str = "*") -> Iterator[Pooler]:
    """A PgBouncer that is started; `ready` waits for it. It is gone afterwards."""
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="posstream-pgbouncer-") as name:
        folder = Path(name)
        (port,) = lasting_ports(1)
        (folder / "users").write_text('"posstream" ""\n')
        configuration = folder / "pgbouncer.ini"
        configuration.write_text(
            f"""[databases]
{databases} = host=127.0.0.1 port={server_port} user=posstream
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
admin_users = posstream
pool_mode = transaction
default_pool_size = {SESSIONS}
max_client_conn = 200
"""
        )
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, user or getpass.getuser())
        made = Pooler(configuration, port, user)
        try:
            made.start()
            yield made
        finally:
            made.kill()


def _binary() -> str | None:
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
