"""The fields of a form that a browser sent, read so that nothing in it can break a page."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web

#: The one kind of form that our pages send.
MEDIA_FORM: Final = "application/x-www-form-urlencoded"
#: More fields than any form of ours has.
_MAX_FIELDS: Final = 200


async def read_form(request: web.Request) -> Mapping[str, str]:
    """The fields of a form by name, the first of each name; none if the body is empty.

    Always UTF-8, and whatever is quoted and is none is replaced (URL standard,
    "application/x-www-form-urlencoded parsing"): so no field holds a lone surrogate.

    Raises:
        web.HTTPBadRequest: if the body is no such form.
        web.HTTPRequestEntityTooLarge: if it is too long.
    """
    body = await request.read()
    if not body:
        return {}
    try:
        charset = (request.charset or "utf-8").lower()
        if request.content_type != MEDIA_FORM or charset != "utf-8":
            raise web.HTTPBadRequest(reason=f"send the form as {MEDIA_FORM} in UTF-8")
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        why = f"the form is not in UTF-8, or has more than {_MAX_FIELDS} fields"
        raise web.HTTPBadRequest(reason=why) from None
    return dict(reversed(pairs))
