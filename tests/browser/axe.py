"""What axe-core holds against a page: the rules of WCAG that a machine can check."""

import json
from collections.abc import Mapping
from typing import Any, Final

import pytest

#: Targets of 24 px and more are in WCAG 2.2, which axe-core looks at only if it is asked to.
_EVERYTHING: Final = {"rules": {"target-size": {"enabled": True}}}
#: All that another colour scheme changes.
COLOURS: Final = {"runOnly": ["color-contrast"]}


async def violations(page: Any, options: Mapping[str, Any] = _EVERYTHING) -> list[str]:
    """One line for each element that breaks a rule; none if all is well.

    axe-core is evaluated in the page, which the page's own policy does not forbid to a debugger.
    """
    try:
        from axe_playwright_python.base import AXE_SCRIPT
    except ImportError:
        pytest.fail("axe-playwright-python is missing: install the extra browser")
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(AXE_SCRIPT)
    run = "async (options) => JSON.stringify((await axe.run(document, options)).violations)"
    return [
        f"{violation['id']}: {node['target']} {node.get('failureSummary', '')}"
        for violation in json.loads(await page.evaluate(run, options))
        for node in violation["nodes"]
    ]
