"""`python -m tests.servers kafka [--nodes 3]|postgres [-- COMMAND …]`: a real server to try with.

With a command it is started, told of the server by its environment, and the server stopped after
it. Without one the server runs until Ctrl-C. What the machine lacks is a skip with its reason, and
an error where CI is set.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import ModuleType

from tests.servers import kafka, postgres
from tests.temporary_files import keep_in_memory

SERVERS: dict[str, ModuleType] = {"kafka": kafka, "postgres": postgres}


def main(arguments: Sequence[str], command: Sequence[str]) -> int:
    keep_in_memory()
    options = vars(_parser().parse_args(arguments))
    name = options.pop("server")
    server = SERVERS[name]
    if command and os.environ.get(server.VARIABLE):
        return subprocess.run(command, check=False).returncode
    lacking = server.lacking()
    if lacking is not None:
        print(f"skip: no {name}: {lacking}", file=sys.stderr)
        return 1 if os.environ.get("CI") else 0
    if not command:
        # Blocked, so that only `sigwait` sees them.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    running: AbstractContextManager[str] = server.running(**options)
    with running as address:
        if command:
            environment = os.environ | {server.VARIABLE: address}
            return subprocess.run(command, env=environment, check=False).returncode
        print(f"{address}\nCtrl-C ends it", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.servers", epilog="-- COMMAND … runs a command beside the server"
    )
    servers = parser.add_subparsers(dest="server", required=True)
    servers.add_parser("kafka").add_argument("--nodes", type=int, choices=(1, 3), default=1)
    servers.add_parser("postgres")
    return parser


if __name__ == "__main__":
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    sys.exit(main(sys.argv[1:split], sys.argv[split + 1 :]))
