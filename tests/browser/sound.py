"""Whether a page is sound: on a phone and on a desk, light and dark, as axe judges it."""

from typing import Any

from tests.browser.axe import COLOURS, violations
from tests.browser.screenshots import keep_screenshot

PHONE, DESK = 390, 1280

#: What is wider than the place it has: the page itself, or a list that scrolls sideways.
_TOO_WIDE = """(width) => [
  ...(document.documentElement.scrollWidth > width ? ["the page"] : []),
  ...[...document.querySelectorAll("main .scroll")]
    .filter((it) => width < 600 && it.scrollWidth > it.clientWidth + 1)
    .map((it) => `the list ${it.getAttribute("aria-label") ?? it.id}`),
]"""


async def faults(page: Any, name: str = "") -> list[str]:
    """What is wrong with the page as it is, in any look; it is not loaded again.

    Args:
        page: that is open.
        name: of its pictures; empty: none are kept.
    """
    found: list[str] = []
    for width in (PHONE, DESK):
        await page.set_viewport_size({"width": width, "height": 900})
        await page.emulate_media(color_scheme="light")
        wide = await page.evaluate(_TOO_WIDE, width)
        found += [f"{width} px: too wide: {it}" for it in wide]
        found += [f"{width} px: {it}" for it in await violations(page)]
        await _picture(page, name, "light", width)
        await page.emulate_media(color_scheme="dark")
        found += [f"{width} px, dark: {it}" for it in await violations(page, COLOURS)]
        await _picture(page, name, "dark", width)
    return found


async def _picture(page: Any, name: str, theme: str, width: int) -> None:
    if name:
        await keep_screenshot(page, f"{name}-{theme}-{width}")
