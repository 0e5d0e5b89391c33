"""Sets up the process of a worker or a command, before other modules of posstream are imported.

A process has four things from its start, and libraries read them wherever they like: the
environment, the umask, the streams of the terminal, and where packages are imported from. The
process also gets a quick end. No setting of posstream is read here.
"""

import atexit
import gc
import io
import os
import re
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from posstream.startup.lean_sqlalchemy import leave_out_orm

#: What our libraries read from the environment: Faust and mode when they are imported, the
#: compiled parts of aiokafka and aiohttp, the drivers of PostgreSQL, prometheus_client, Django's
#: hook in Faust and the embedded broker's package. Faust's 80 settings are not here: its app gets
#: an empty environment. A service file of PostgreSQL is used only if the database URL names it.
_FOREIGN: Final = re.compile(
    r"(?:FAUST|F|AIOKAFKA|AIOHTTP|YARL|MULTIDICT|FROZENLIST|PROPCACHE|DJANGO|CALF|CRAMJAM|PSYCOPG)_.*"
    r"|PG(?!SERVICEFILE|SYSCONFDIR)[A-Z]+"
    r"|PROMETHEUS_.*|prometheus_multiproc_dir|ALEMBIC_CONFIG|NO_CYTHON|DEVLOG|TYPEXPR_DEBUG"
)
#: Faust itself sets these, from `--datadir` and `--loop`.
_FROM_OPTIONS: Final = frozenset({"FAUST_DATADIR", "FAUST_LOOP", "F_DATADIR", "F_LOOP"})
#: Marks a process that was restarted, as an option `-X` of Python.
_RESTARTED: Final = "posstream"
_PACKAGES: Final = ("posstream", "agents", "tables", "web")


def own_process() -> None:
    """Set up this process; exit with a sentence if Python finds other packages of our names.

    Names of other programs leave the environment, files are made for our user alone, and the
    terminal gets a replacement for each character that it cannot show.
    """
    os.umask(0o077)
    for stream in (sys.stdin, sys.stdout):  # stderr has an error handler of its own
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    # The process ends with all that it holds: to look for cycles in that takes 0.4 s.
    atexit.register(gc.freeze)
    _own_environment()
    leave_out_orm()
    wrong = foreign_package(_PACKAGES)
    if wrong is not None:
        sys.exit(f"error: {wrong}")


def collect_garbage_rarely() -> None:
    """Raise the garbage collector's thresholds, for a process that decodes many records at once.

    By default Python looks for cycles after every 700 new objects, which took a tenth of a worker's
    CPU and a seventh of the projections'. One fetch makes more objects than that.
    """
    gc.set_threshold(50_000, 20, 50)


def foreign_names(environ: Iterable[str]) -> list[str]:
    """The names in an environment that would change what our libraries do."""
    return [name for name in environ if _FOREIGN.fullmatch(name)]


def foreign_package(names: Iterable[str]) -> str | None:
    """A sentence about the first package that is not the one beside this module's, if any.

    A folder without code is one too: where posstream is installed editable, Python takes any
    folder `posstream` for the package, such as a checkout seen from its parent.
    """
    home = Path(__file__).resolve().parents[2]
    for name in names:
        spec = find_spec(name)
        found = [] if spec is None else [spec.origin, *(spec.submodule_search_locations or ())]
        places = [Path(place).resolve() for place in found if place is not None]
        if home / name / "__init__.py" not in places:
            where = places[0] if places else "nowhere"
            return (
                f"the package {name} that Python finds is not posstream's, but {where}: start in "
                "another folder, or take that one out of PYTHONPATH"
            )
    return None


def _own_environment() -> None:
    foreign = foreign_names(os.environ)
    for name in foreign:
        del os.environ[name]
    # Faust is imported before us in `faust -A posstream.app` and has read some of these variables
    # by now.
    restart = _is_faust(sys.argv[0]) and not _FROM_OPTIONS.issuperset(foreign)
    # A second restart would not help: a sitecustomize may set such names at each start.
    if restart and _RESTARTED not in sys._xoptions and sys.platform != "win32":  # noqa: SLF001 - documented
        command = [sys.executable, "-X", _RESTARTED, *sys.orig_argv[1:]]
        os.execv(sys.executable, command)  # noqa: S606 - this same command


def _is_faust(program: str) -> bool:
    """Whether a program is `faust`, or `python -m faust`, whose file is faust/__main__.py."""
    return "faust" in Path(program).parts[-2:]
