"""Makes a plugin's part of a page: a plugin in trouble takes away its own part, and no other."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from web.console.pages import Pages, sentence
from web.graphql.context import GraphQLContext
from web.graphql.execution import QUERY_SECONDS
from web.http.answers import new_reference, unavailable

logger = logging.getLogger(__name__)

#: How long a part may take.
PART_SECONDS: Final = QUERY_SECONDS


async def contained(
    pages: Pages,
    context: GraphQLContext,
    plugin: str,
    what: str,
    make: Callable[[], Awaitable[str]],
) -> str:
    """The HTML of a part, or why there is none.

    Args:
        pages: of the shell.
        context: knows how the plugins are.
        plugin: whose part it is.
        what: the part, for people: `panel`.
        make: makes it; the plugin's own code, which may raise anything.
    """
    try:
        context.ports(plugin)
        async with asyncio.timeout(PART_SECONDS):
            return _html(await make())
    except (Exception, SystemExit) as why:
        refusal = unavailable(f"a {what} of {plugin}", why)
        if refusal is None:
            reference = new_reference()
            logger.exception("a %s of %s failed, reference %s", what, plugin, reference)
            told = f"the {what} of {plugin} cannot be shown, reference {reference}"
        else:
            _, told = refusal
    return pages.part("overview_trouble.html", why=sentence(told))


def _html(made: object) -> str:
    if not isinstance(made, str):
        raise TypeError(f"a part must be HTML, and not {type(made).__name__}")
    return made
