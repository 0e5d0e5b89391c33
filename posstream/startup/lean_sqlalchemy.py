"""Leaves SQLAlchemy's ORM out of the start: posstream does not use it.

`sqlalchemy.ext.asyncio` has the engine, and sessions, which import the whole ORM. That is a third
of the time for importing SQLAlchemy, in each process of a worker. With this module the package
gives the names of its engine at once. It runs its own code once somebody, such as a plugin, asks
for another name.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, Final

_PACKAGE: Final = "sqlalchemy.ext.asyncio"
_OF_ENGINE: Final = frozenset(
    {"AsyncConnection", "AsyncEngine", "AsyncTransaction", "create_async_engine"}
)


def leave_out_orm() -> None:
    """Import SQLAlchemy's asyncio package without the ORM from now on. Idempotent."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds the package where Python would, with our loader around its own."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, _: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _PACKAGE:
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _Later(spec.loader)
        return spec


class _Later(Loader):
    """Runs a package's code at the first name that its engine does not have."""

    def __init__(self, own: Loader) -> None:
        self._own = own

    def exec_module(self, module: ModuleType) -> None:
        def get(name: str) -> Any:
            if name in _OF_ENGINE:
                return getattr(import_module(f"{_PACKAGE}.engine"), name)
            if name.startswith("__") or PathFinder.find_spec(f"{_PACKAGE}.{name}", module.__path__):
                raise AttributeError(name)  # Python goes on, to its own names and to modules
            if "__getattr__" in vars(module):
                del module.__getattr__
                self._own.exec_module(module)
            return getattr(module, name)

        module.__getattr__ = get  # type: ignore[method-assign] # PEP 562
