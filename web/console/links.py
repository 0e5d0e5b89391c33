"""The address of the page that is looked at with another query."""

from aiohttp import web


def with_query(request: web.Request, path: str | None = None, **changes: str | None) -> str:
    """The address of the page with some parameters of its query changed.

    Args:
        request: of the page that is looked at.
        path: of another page with the same parameters, quoted.
        changes: parameters by name; None leaves one out.
    """
    kept = {name: value for name, value in request.query.items() if name not in changes}
    query = kept | {name: value for name, value in changes.items() if value is not None}
    here = request.rel_url.with_path(path, encoded=True) if path is not None else request.rel_url
    return str(here.with_query(query))
