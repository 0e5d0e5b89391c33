"""What axe-core holds against a page: the rules of WCAG that a machine can check."""

import json
from typing import Any

import pytest


async def violations(page: Any) -> list[str]:
    """One line for each element that breaks a rule; none if all is well.

    axe-core is evaluated in the page, which the page's own policy does not forbid to a debugger.
    """
    try:
        from axe_playwright_python.base import AXE_SCRIPT
    except ImportError:
        pytest.fail("axe-playwright-python is missing: install the extra browser")
    await page.evaluate(AXE_SCRIPT)
    found = json.loads(await page.evaluate("async () => JSON.stringify(await axe.run())"))
    return [
        f"{violation['id']}: {node['target']} {node.get('failureSummary', '')}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]
