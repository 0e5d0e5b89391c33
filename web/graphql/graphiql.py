"""The page for browsers at the endpoint: GraphiQL, or plain HTML without the extra `graphiql`.

Nothing comes from another host. The files are those of GraphiQL 2.4 with React and graphql-ws. They
are found by the metadata of their distribution, whose package (for Django) is not imported.
"""

import html
import importlib.metadata
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
from aiohttp import web

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
        text = _PAGE.format(
            nonce=nonce,
            styles="\n".join(f'<link rel="stylesheet" href="{folder}{name}">' for name in _STYLES),
            scripts="\n".join(
                f'<script nonce="{nonce}" src="{folder}{name}"></script>' for name in _SCRIPTS
            ),
            # In a script, `</script>` would end it.
            examples=orjson.dumps(examples).decode().replace("<", "\\u003c"),
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
    return _PLAIN_PAGE.format(
        examples="\n".join(f"<pre>{html.escape(example)}</pre>" for example in examples)
    )


def _folder(version: str) -> str:
    return f"/graphql/static/{version}/"


#: Tabs are kept in the session's storage: queries hold identifiers, and tills are shared.
_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>posstream GraphQL</title>
<link rel="icon" href="data:,">
{styles}
<style>html, body, #graphiql {{ height: 100%; margin: 0; }}</style>
</head>
<body>
<div id="graphiql">Loading GraphiQL …</div>
{scripts}
<script nonce="{nonce}">
const url = new URL("/graphql/", location.href);
const socket = new URL(url);
socket.protocol = url.protocol === "https:" ? "wss:" : "ws:";
const wsClient = graphqlWs.createClient({{ url: socket.href, lazy: true }});
const examples = {examples};
ReactDOM.render(
  React.createElement(GraphiQL, {{
    fetcher: GraphiQL.createFetcher({{ url: url.href, wsClient }}),
    defaultTabs: examples.map((query) => ({{ query }})),
    storage: sessionStorage,
  }}),
  document.getElementById("graphiql"),
);
</script>
</body>
</html>
"""

_PLAIN_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>posstream GraphQL</title>
</head>
<body>
<h1>posstream GraphQL</h1>
<p>Send GraphQL over HTTP to <code>/graphql/</code>: POST with
<code>Content-Type: application/json</code>, or GET for queries. With the extra
<code>graphiql</code> installed, this page is an editor.</p>
<p>For example:</p>
{examples}
</body>
</html>
"""
