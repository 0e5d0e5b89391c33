"""What the pages of the plugin share: how they are rendered, what they ask, their links."""

from dataclasses import dataclass
from urllib.parse import quote

from agents.customer_lookup.lookup_ports import LookupPorts, lookup_ports
from web.console.pages import Pages
from web.graphql.context import GraphQLContext


@dataclass(eq=False)
class Page:
    """A page, or a few that belong together."""

    pages: Pages
    context: GraphQLContext

    @property
    def ports(self) -> LookupPorts:
        """The plugin as it runs on this worker.

        Raises:
            PluginUnavailable: if the plugin does not run.
        """
        return lookup_ports(self.context)

    def basket_path(self, basket_id: str) -> str:
        """The path of the page of one basket. An id may have any characters."""
        return f"/baskets/{quote(self.context.references.of(basket_id), safe='')}"

    def customer_path(self, customer_id: str) -> str:
        """The path of the page of one customer."""
        return f"/customers/{quote(self.context.references.of_customer(customer_id), safe='')}"
