"""A child process of a worker, which runs a plugin beside the lookups: `python -m` this module.

Its arguments are the names of its plugins; a worker gives one to each child. Reads its
`BesideSetup` as a pickle from stdin, and then lines: to refuse a plugin, and to stop in order.
Writes how the plugins are, what they count, and what it logs, as lines of JSON to stdout. Ends with
stdin, at once: that is when the worker ends, also by kill -9, and the next worker needs the files
of the tables.
"""

import gc
import logging
import pickle
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from posstream.logs.setup import handle_by
from posstream.plugins.found import Plugins
from posstream.processes.child import Spawned, spawn
from posstream.processes.worker import Worker, give_way, leave
from posstream.startup.process import own_process

#: Tills come first: if the worker and one child want the same core, the worker gets three quarters
#: of it. Not as low as the projections: a consumer that gets no CPU loses its place in its group.
_NICE: Final = 5


def spawn_beside(plugins: Plugins) -> Mapping[str, Spawned]:
    """Start a child for each plugin beside the lookups; returns them by the names of the plugins.

    A worker calls this as early as it can: each child imports for some seconds.
    """
    return {it.name: spawn(command(Plugins((it,)))) for it in plugins.beside}


def command(plugins: Plugins) -> Sequence[str]:
    """The program of a child, and the names of the plugins that run there."""
    return (sys.executable, "-m", "posstream.plugins.beside_child", *(it.name for it in plugins))


def main() -> None:
    """Run until the worker says stop, or ends."""
    gc.disable()  # as in `posstream.app`
    own_process()
    worker = Worker()
    give_way(_NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the worker, which ends us
    handle_by(worker, logging.INFO)
    # Imported here, after `own_process`, and while the worker prepares the topics.
    from posstream.domain.errors import PosstreamError
    from posstream.plugins.beside_running import run
    from posstream.plugins.discovery import find_plugins
    from posstream.streaming import patches
    from posstream.streaming.app import install_event_loop

    install_event_loop()
    patches.install()
    try:
        plugins = find_plugins(",".join(sys.argv[1:]))
        gc.freeze()
        gc.enable()
        setup = pickle.load(sys.stdin.buffer)  # noqa: S301 - the worker wrote it
        handle_by(worker, setup.log_level)
        run(setup, plugins, worker)
    except EOFError:  # the worker has ended
        sys.exit(1)
    except PosstreamError as why:
        sys.exit(f"error: {', '.join(sys.argv[1:])} cannot run ({why})")


if __name__ == "__main__":
    leave(main)
