"""PostgreSQL on loopback in a folder of its own: `initdb` is Debian's or on the path."""

import contextlib
import getpass
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.integration.harness import free_port

VARIABLE = "POSSTREAM_TEST_DATABASE_URL"


def lacking() -> str | None:
    """What this machine has not, if anything."""
    return None if _folder() else "initdb not found"


@contextlib.contextmanager
def running() -> Iterator[str]:
    """A server; yields the URL of a role that may create databases."""
    binaries = _folder()
    assert binaries is not None
    # PostgreSQL refuses to run as root; Debian's package brings this user.
    user = "postgres" if os.geteuid() == 0 else getpass.getuser()
    with tempfile.TemporaryDirectory(prefix="posstream-postgres-") as folder:
        shutil.chown(folder, user)
        data, port = f"{folder}/data", free_port()

        def run(*command: str) -> None:
            subprocess.run(
                [f"{binaries}/{command[0]}", *command[1:]],
                check=True,
                user=user if os.geteuid() == 0 else None,
                cwd=folder,
                stdout=subprocess.DEVNULL,
            )

        run("initdb", "-D", data, "-U", "posstream", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder}"
        run("pg_ctl", "-D", data, "-l", f"{folder}/log", "-o", options, "-w", "start")
        try:
            yield f"postgresql+asyncpg://posstream@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-D", data, "-m", "fast", "-w", "stop")


def _folder() -> Path | None:
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
