"""aiohttp's runner with our answer to what is no HTTP: such requests reach no middleware."""

import http
from typing import Final

from aiohttp import hdrs, web
from aiohttp.web_protocol import RequestHandler

from web.json_answer import error_answer
from web.middleware import SAFE_HEADERS

#: Without this header aiohttp adds its own, with its version and Python's.
_SERVER: Final = "posstream"


class PlainRunner(web.AppRunner):
    """An `AppRunner` whose own errors are JSON with safe headers and without versions."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        options = made._kwargs  # noqa: SLF001 - there is no other way in
        return _Server(made.request_handler, request_factory=made.request_factory, **options)


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(RequestHandler):
    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to a request that cannot be read, or whose answer could not be made.

        What was sent is neither answered nor logged: it can hold a customer's identifier.
        """
        if status == http.HTTPStatus.INTERNAL_SERVER_ERROR:
            super().handle_error(request, status, exc, message)  # logs it
        elif request.writer.output_size > 0:
            raise ConnectionError("the answer has begun")
        known = http.HTTPStatus(status)
        answer = error_answer(
            status, known.name, known.phrase, headers={**SAFE_HEADERS, hdrs.SERVER: _SERVER}
        )
        answer.force_close()
        return answer
