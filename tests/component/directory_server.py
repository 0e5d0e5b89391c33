"""A directory on loopback, as one handler describes it."""

import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web
from aiohttp.test_utils import TestServer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def serving(handler: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server of one handler for every path and method; yields its endpoint."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    server = TestServer(application, scheme="http" if tls is None else "https")
    await server.start_server(ssl=tls)
    try:
        yield str(server.make_url("/customers"))
    finally:
        await server.close()
