"""The console's own style and script: read once, named by their content, cached for a year."""

import hashlib
from importlib.resources import files
from typing import Final

from aiohttp import web

_TYPES: Final = {
    "console.css": "text/css",
    "console.js": "text/javascript",
    "charts.js": "text/javascript",
}
_PATH: Final = "/console/static"


class Assets:
    """The files of `static/`."""

    def __init__(self) -> None:
        folder = files("web.console") / "static"
        self._content = {name: (folder / name).read_bytes() for name in _TYPES}

    def url(self, name: str) -> str:
        """The URL of a file; it changes with the file's content."""
        return f"{_PATH}/{hashlib.sha256(self._content[name]).hexdigest()[:12]}/{name}"

    def routes(self) -> list[web.RouteDef]:
        """The files; the version in the path is not checked."""
        return [web.get(f"{_PATH}/{{version}}/{{name}}", self._serve)]

    async def _serve(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self._content:
            raise web.HTTPNotFound
        return web.Response(
            body=self._content[name],
            content_type=_TYPES[name],
            charset="utf-8",
            headers={"Cache-Control": "private, max-age=31536000, immutable"},
        )
