"""The entries of the console's navigation."""

from dataclasses import dataclass
from typing import Final

from posstream.domain.roles import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class NavigationEntry:
    """One entry of the navigation."""

    path: str
    title: str
    #: Who may open it.
    role: Role
    #: Its place: entries are sorted by it. The platform's own are 0 and 300 to 499.
    order: int
    #: Whether it shows nothing while the database is away.
    needs_database: bool = True


PLATFORM_ENTRIES: Final = (
    NavigationEntry(path="/", title="Overview", role=Role.VIEWER, order=0, needs_database=False),
    NavigationEntry(
        path="/configuration",
        title="Configuration",
        role=Role.VIEWER,
        order=300,
        needs_database=False,
    ),
    NavigationEntry(
        path="/dead-letters",
        title="Dead letters",
        role=Role.VIEWER,
        order=400,
        needs_database=False,
    ),
    NavigationEntry(
        path="/fleet", title="Fleet", role=Role.VIEWER, order=420, needs_database=False
    ),
    NavigationEntry(
        path="/topics", title="Topics", role=Role.VIEWER, order=440, needs_database=False
    ),
)
