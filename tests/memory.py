"""Tells what caches of functions remember."""

import functools
import gc
import sys


def is_remembered(text: str) -> bool:
    """Whether any `lru_cache` of a module has a text among its arguments or results."""
    values = {id(it): it for module in list(sys.modules.values()) for it in vars(module).values()}
    caches = [it for it in values.values() if isinstance(it, functools._lru_cache_wrapper)]
    return any(text in repr(kept) for cache in caches for kept in gc.get_referents(cache))
