"""Who may do what on the web view: three roles, and whoever asks. Pure."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class Role(IntEnum):
    """What a key is for; a higher role may do all that a lower one may."""

    #: Reads, with identifiers masked.
    VIEWER = 1
    #: Reads identifiers in full, starts and identifies baskets, evicts one customer.
    SUPPORT = 2
    #: Everything: configuration, breaker, whole cache, forgetting.
    OPERATOR = 3

    @property
    def label(self) -> str:
        """As the settings and the log write it."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sends a request."""

    #: The name of the key, as it stands in the log.
    name: str
    role: Role
    #: Whether a key says so; without keys everybody on this machine is the same one.
    keyed: bool = True

    def may(self, role: Role) -> bool:
        """Whether the caller has this role or a higher one."""
        return self.role >= role


#: Whoever asks a view without keys, which only this machine reaches.
LOCAL: Final = Caller("local", Role.OPERATOR, keyed=False)
#: Nobody has asked yet.
NOBODY: Final = Caller("nobody", Role.VIEWER, keyed=False)
