"""Shows a browser each error as a page of the console; programs get JSON."""

from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from web.access.guard import has_caller
from web.console.pages import Pages, sentence
from web.http.answers import ErrorAnswer
from web.http.reading import wants_html

#: What the page of a status is called, and what its reader does next.
_WORDS: Final = {
    400: ("This request cannot be used", "Go back, and try again."),
    403: ("This is not allowed", "Open the page from the navigation, and try again there."),
    404: ("There is no such page", "Check the address, or choose a page of the navigation."),
    405: ("This page is not opened like this", "Choose a page of the navigation."),
    409: ("Somebody else was faster", "Go back, reload the page, and try again."),
    413: ("This form is too long", "Go back, and send less."),
    429: ("Too many requests", "Wait a minute, and try again."),
    500: ("This page failed", "The log of the worker has the cause under the reference {}."),
    503: ("This page does not answer now", "Try again later."),
}
#: Headers of an error that its page keeps.
_KEPT: Final = (hdrs.ALLOW, hdrs.RETRY_AFTER, hdrs.ACCEPT_ENCODING)


def error_pages(pages: Pages) -> Middleware:
    """A middleware that replaces the JSON of an error by a page where a browser asks for one.

    Errors of public routes stay as they are: those are for programs, and nobody has logged in.
    """

    @web.middleware
    async def show(request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = await handler(request)
        if not isinstance(answer, ErrorAnswer) or not has_caller(request):
            return answer
        if not wants_html(request.headers.get(hdrs.ACCEPT)):
            return answer
        page = _page(pages, request, answer)
        page.headers.update({it: answer.headers[it] for it in _KEPT if it in answer.headers})
        page.headers[hdrs.VARY] = hdrs.ACCEPT
        return page

    return show


def _page(pages: Pages, request: web.Request, answer: ErrorAnswer) -> web.Response:
    if answer.code == "DATABASE_AWAY":
        # Only a page that was opened is opened again by itself, never a form that was sent.
        is_opened = request.method == hdrs.METH_GET
        return pages.render(request, "away.html", status=answer.status, is_opened=is_opened)
    phrase = HTTPStatus(answer.status).phrase
    title, then = _WORDS.get(answer.status, (phrase, ""))
    told = [] if answer.message in {phrase, "Internal error"} else [sentence(answer.message)]
    if answer.code.startswith("PLUGIN_"):
        told.append("All other plugins go on.")
    told.append(then.format(answer.reference))
    return pages.missing(request, title, " ".join(told), ("/", "Overview"), answer.status)
