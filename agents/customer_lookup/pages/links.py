"""The addresses of the pages of baskets and customers."""

from urllib.parse import quote

from web.access.references import References


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
