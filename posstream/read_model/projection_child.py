"""The child process of a worker that runs the projections: `python -m` this module.

Reads its `Setup` from the first line of stdin. Writes how far the projections are, and what it
logs, as lines of JSON to stdout. Ends with stdin: that is when the worker ends, also by kill -9.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from posstream.domain.errors import PosstreamError
from posstream.logs.setup import handle_by
from posstream.processes.worker import Worker, give_way, leave
from posstream.startup.process import own_process

if TYPE_CHECKING:
    from posstream.read_model.projecting import Standings

#: Rows may be late; tills and the plugins may not. Not 19: a busy machine gives that no CPU at all.
_NICE: Final = 10
#: How long a stop may take before the process is ended.
_LAST_SECONDS: Final = 5.0


def main() -> None:
    """Run until stdin ends."""
    own_process()
    worker = Worker()
    give_way(_NICE)
    handle_by(worker, logging.INFO)
    # Imported here, after `own_process`.
    from posstream.read_model.projecting import Setup, run

    def tell(standings: "Standings") -> None:
        worker.say(standings=standings)

    def watch(stop: Callable[[], object]) -> None:
        def end() -> None:
            last = threading.Timer(_LAST_SECONDS, os._exit, [1])
            last.daemon = True
            last.start()
            stop()

        worker.listen(lambda _: None, ended=end)

    try:
        setup = msgspec.json.decode(sys.stdin.buffer.readline(), type=Setup)
        run(setup, tell=tell, watch=watch)
    except PosstreamError as why:
        sys.exit(f"error: the read model cannot be opened ({why})")


if __name__ == "__main__":
    leave(main)
