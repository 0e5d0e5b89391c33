"""`/asyncapi.json`: the topics for whoever writes or reads them."""

from collections.abc import Iterable

from aiohttp import web

from posstream.events.asyncapi import document
from posstream.plugin import Plugin
from web.http.json_answer import json_answer


def asyncapi_routes(plugins: Iterable[Plugin]) -> list[web.RouteDef]:
    """The document, which is the same for as long as the worker runs."""
    made = document(plugins)

    async def asyncapi(_: web.Request) -> web.Response:
        return json_answer(made)

    return [web.get("/asyncapi.json", asyncapi)]
