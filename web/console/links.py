"""Addresses of pages: the one that is looked at with another query, and those of a basket."""

from urllib.parse import quote

from aiohttp import web

from web.references import References


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


class Links:
    """The paths of the pages of baskets and customers. An id may have any characters."""

    def __init__(self, references: References) -> None:
        self._references = references

    def basket(self, basket_id: str) -> str:
        """The page of one basket."""
        return f"/baskets/{quote(self._references.of(basket_id), safe='')}"

    def customer(self, customer_id: str) -> str:
        """The page of one customer."""
        return f"/customers/{quote(self._references.of_customer(customer_id), safe='')}"
