"""Tests that cannot run without a real server: skipped where it is missing, failed where CI is."""

import os
from types import ModuleType

import pytest


def need(server: ModuleType) -> None:
    """Give up the test or fixture, with the reason, unless this machine has `server`."""
    lacking = server.lacking()
    if lacking is None:
        return
    if os.environ.get("CI"):
        pytest.fail(lacking)
    pytest.skip(lacking)
