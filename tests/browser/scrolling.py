"""Scrolling on a page that draws itself again."""

from typing import Any

SCROLL = """it => {
    if (!it.isConnected) return null;
    it.scrollIntoView({block: "center", behavior: "instant"});
    const {x, y, width, height} = it.getBoundingClientRect();
    return {x, y, width, height};
}"""


async def scroll_to(element: Any) -> dict[str, float]:
    """Scroll to what a locator finds, and say where in the window it is, in CSS pixels.

    Playwright's own `scroll_into_view_if_needed` fails if the page puts another element in its
    place meanwhile, and `bounding_box` finds nothing then.
    """
    while (box := await element.evaluate(SCROLL)) is None:
        pass
    return box
