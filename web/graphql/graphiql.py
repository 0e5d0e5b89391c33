"""The page for browsers at the endpoint: GraphiQL, or plain HTML without the extra `graphiql`.

Nothing comes from another host. The files are those of GraphiQL 2.4 with React and graphql-ws. They
are found by the metadata of their distribution, whose package (for Django) is not imported.
"""

import importlib.metadata
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
from aiohttp import web
from jinja2 import Environment, PackageLoader
from markupsafe import Markup

_DISTRIBUTION: Final = "graphene-django-graphiql-static"
_STYLES: Final = ("graphiql.min.css",)
#: In the order in which they need each other.
_SCRIPTS: Final = (
    "react.production.min.js",
    "react-dom.production.min.js",
    "graphiql.min.js",
    "graphql-ws.min.js",
)
_TYPES: Final = {".js": "text/javascript", ".css": "text/css"}
_PAGES: Final = Environment(
    loader=PackageLoader("web.graphql"), autoescape=True, keep_trailing_newline=True
)
#: The version is in the path, so a file never changes. Not for shared caches: it needs the key.
_CACHED: Final = "private, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class GraphiQL:
    """The installed files."""

    version: str
    files: Mapping[str, Path]

    @classmethod
    def find(cls, name: str = _DISTRIBUTION) -> "GraphiQL | None":
        """The files of the extra, or None if it is not installed or lacks one."""
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            return None
        wanted = {*_STYLES, *_SCRIPTS}
        found = {
            file.name: Path(str(file.locate()))
            for file in distribution.files or ()
            if file.name in wanted
        }
        return cls(distribution.version, found) if found.keys() == wanted else None

    def routes(self) -> list[web.RouteDef]:
        """The files, below the endpoint."""
        return [web.get(f"{_folder(self.version)}{{name}}", self.file)]

    async def file(self, request: web.Request) -> web.StreamResponse:
        """Serve one of the listed files; other files of the distribution are not served."""
        path = self.files.get(request.match_info["name"])
        if path is None:
            raise web.HTTPNotFound
        headers = {
            "Cache-Control": _CACHED,
            "Content-Type": f"{_TYPES[path.suffix]}; charset=utf-8",
        }
        return web.FileResponse(path, headers=headers)

    def page(self, examples: Sequence[str]) -> web.Response:
        """The page, with a policy that lets only its own scripts run.

        Args:
            examples: the operations of its first tabs.
        """
        nonce = secrets.token_urlsafe(16)
        folder = _folder(self.version)
        text = _PAGES.get_template("graphiql.html").render(
            nonce=nonce,
            folder=folder,
            styles=_STYLES,
            scripts=_SCRIPTS,
            # In a script, `</script>` would end it.
            examples=Markup(orjson.dumps(examples).decode().replace("<", "\\u003c")),  # noqa: S704
        )
        # The editor positions its parts by style attributes, and its icons are in its style sheet.
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; "
            "font-src data:; img-src data:; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        headers = {"Content-Security-Policy": policy}
        return web.Response(text=text, content_type="text/html", headers=headers)


def plain_page(examples: Iterable[str]) -> str:
    """The page without GraphiQL: some operations to begin with, no asset, no script."""
    return _PAGES.get_template("plain.html").render(examples=examples)


def _folder(version: str) -> str:
    return f"/graphql/static/{version}/"
