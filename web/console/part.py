"""How a plugin declares its pages of the console."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from posstream.domain.roles import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class NavigationEntry:
    """One entry of the navigation."""

    path: str
    title: str
    #: Who may open it.
    role: Role
    #: Its place: entries are sorted by it.
    order: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsolePart:
    """What a plugin adds to the console."""

    #: The package whose folder `templates` has its templates.
    templates: str
    navigation: tuple[NavigationEntry, ...] = ()
    #: Makes the routes of its pages.
    routes: Callable[..., Sequence[Any]]
    #: Route patterns that need no key.
    public: frozenset[str] = frozenset()
