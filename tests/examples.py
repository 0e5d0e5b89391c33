"""How many examples a property test draws: all of them in CI, fewer where somebody waits."""

import os
from typing import Final

IN_CI: Final = bool(os.environ.get("CI"))
#: Of a test that says nothing.
MOST: Final = 100 if IN_CI else 30


def most(in_ci: int) -> int:
    """How many examples: `in_ci` in CI, a quarter of them elsewhere."""
    return in_ci if IN_CI else in_ci // 4
