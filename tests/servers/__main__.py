"""`python -m tests.servers kafka|postgres [-- COMMAND …]`: a real server for a command, or for you.

With a command it is started, told of the server by its environment, and the server stopped after
it. Without one the server runs until Ctrl-C. What the machine lacks is a skip with its reason, and
an error where CI is set.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import ModuleType

from tests.servers import kafka, postgres

SERVERS: dict[str, ModuleType] = {"kafka": kafka, "postgres": postgres}


def main(arguments: Sequence[str]) -> int:
    name, *rest = arguments
    server, command = SERVERS[name], rest[1:] if rest[:1] == ["--"] else rest
    if command and os.environ.get(server.VARIABLE):
        return subprocess.run(command, check=False).returncode
    lacking = server.lacking()
    if lacking is not None:
        print(f"skip: no {name}: {lacking}", file=sys.stderr)
        return 1 if os.environ.get("CI") else 0
    running: AbstractContextManager[str] = server.running()
    with running as address:
        if command:
            environment = os.environ | {server.VARIABLE: address}
            return subprocess.run(command, env=environment, check=False).returncode
        print(f"{address}\nCtrl-C ends it", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    return 0


if __name__ == "__main__":
    # Blocked, so that only `sigwait` and the commands see them.
    if len(sys.argv) == 2:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    sys.exit(main(sys.argv[1:]))
