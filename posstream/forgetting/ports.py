"""What erasure needs of the read model, as a Protocol."""

from collections.abc import Collection, Mapping
from typing import Protocol

from posstream.forgetting.marks import Forgotten, Trail


class Erasure(Protocol):
    """What the read model knows of customers who are to be forgotten."""

    async def trail(self, identifier: str) -> Trail:
        """The customer of a normalised identifier, with all identifiers that lead there now.

        The given identifier is the last one. One that nobody knows is all there is.
        """
        ...

    async def trail_of_customer(self, customer_id: str) -> Trail:
        """A customer with all identifiers that lead there now; there may be none."""
        ...

    async def rows(self, trail: Trail) -> Mapping[str, int]:
        """How many rows of each table tell of a customer; of baskets, how many refer to them."""
        ...

    async def marks(self, subjects: Collection[str]) -> Mapping[str, Forgotten]:
        """The marks that there are, by their subject."""
        ...
