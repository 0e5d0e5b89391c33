"""`/asyncapi.json`: the topics for whoever writes or reads them."""

from aiohttp import web

from posstream.events.asyncapi import document
from web.json_answer import json_answer


def asyncapi_routes() -> list[web.RouteDef]:
    """The document, which is the same for as long as the worker runs."""
    made = document()

    async def asyncapi(_: web.Request) -> web.Response:
        return json_answer(made)

    return [web.get("/asyncapi.json", asyncapi)]
