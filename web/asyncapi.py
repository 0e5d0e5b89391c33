"""`/asyncapi.json`: the topics for whoever writes or reads them."""

import logging
from collections.abc import Iterable

from aiohttp import web

from posstream.events.asyncapi import document
from posstream.plugin import Plugin
from web.http.json_answer import json_answer

logger = logging.getLogger(__name__)


def asyncapi_routes(plugins: Iterable[Plugin]) -> tuple[list[web.RouteDef], dict[str, str]]:
    """The document, which is the same for as long as the worker runs.

    Returns:
        its routes, and why a plugin's events are not in it, for each plugin of which that is so.
    """
    fit, failures = [], {}
    for plugin in plugins:
        try:
            document([plugin])
        except Exception as why:
            logger.exception("the events of %s cannot be described", plugin.name)
            failures[plugin.name] = f"its events cannot be described ({type(why).__name__}: {why})"
        else:
            fit.append(plugin)
    made = document(fit)

    async def asyncapi(_: web.Request) -> web.Response:
        return json_answer(made)

    return [web.get("/asyncapi.json", asyncapi)], failures
