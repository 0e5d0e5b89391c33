"""Pictures of the pages, for people to look at: kept where POSSTREAM_SCREENSHOTS names a folder."""

import os
from pathlib import Path
from typing import Any


async def keep_screenshot(page: Any, name: str, *, full_page: bool = True) -> None:
    """Write the page, whole or what fits the window, to `name`.png; nothing without the setting."""
    folder = os.environ.get("POSSTREAM_SCREENSHOTS")
    if folder:
        await page.screenshot(path=Path(folder) / f"{name}.png", full_page=full_page)
