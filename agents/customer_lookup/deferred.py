"""Functions of the plugin whose modules are imported at the first call.

A declaration that needs them costs a command no import of Faust, aiohttp, graphene or SQLAlchemy.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any


def deferred(name: str) -> Callable[..., Any]:
    """The function `module:function` of the plugin."""
    module, _, function = name.partition(":")

    def call(*arguments: Any) -> Any:
        return getattr(import_module(f"{__package__}.{module}"), function)(*arguments)

    return call
