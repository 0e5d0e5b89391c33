"""What is measured, each in a module of its own."""

from types import ModuleType
from typing import Final

from benchmarks.measures import (
    baskets,
    burst,
    fraud,
    graphql,
    growth,
    hits,
    idle,
    latency,
    misses,
    mix,
    pages,
    recovery,
    rows,
    sustained,
    tracing,
    two_workers,
)

#: By the name on the command line, in the order of the page.
MEASURES: Final[dict[str, ModuleType]] = {
    "sustained": sustained,
    "hits": hits,
    "two_workers": two_workers,
    "latency": latency,
    "misses": misses,
    "mix": mix,
    "burst": burst,
    "graphql": graphql,
    "pages": pages,
    "rows": rows,
    "baskets": baskets,
    "fraud": fraud,
    "tracing": tracing,
    "recovery": recovery,
    "growth": growth,
    "idle": idle,
}
