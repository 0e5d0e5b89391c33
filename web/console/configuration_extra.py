"""What a plugin may add to the page of its live configuration; by default nothing."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from aiohttp import web

from web.console.pages import Pages

if TYPE_CHECKING:
    from web.console.configuration import ConfigurationPage


class ConfigurationExtra:
    """Adds nothing. A plugin overrides the methods for what it adds.

    Args:
        pages: they find the template of this class.
    """

    #: Its template has the macros of `_configuration_extra.html`: `above`, `in_form`, `below`,
    #: `caption`, `heads` and `cells`.
    template: ClassVar[str] = "_configuration_extra.html"
    #: Titles of the fields that `in_form` adds, for the list of errors.
    titles: ClassVar[Mapping[str, str]] = {}
    #: What was done, by the word after `?done=` that its routes redirect to.
    done: ClassVar[Mapping[str, str]] = {}

    def __init__(self, pages: Pages) -> None:
        self.pages = pages

    def effect(self, key: str, value: Any) -> str:  # noqa: ARG002
        """A sentence: what the plugin does with this value of a key, or of `enabled`."""
        return ""

    def routes(self, page: "ConfigurationPage") -> Sequence[web.RouteDef]:  # noqa: ARG002
        """The routes that its forms post to, below `page.path`."""
        return ()

    async def shown(self) -> Mapping[str, Any]:
        """What `above`, `in_form` and `below` show."""
        return {}

    async def outcomes(self, versions: Collection[int]) -> Mapping[int, Any]:  # noqa: ARG002
        """What each version led to; `cells` shows it beside that of the version before."""
        return {}
