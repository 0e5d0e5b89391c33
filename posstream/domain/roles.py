"""The three roles of the web view, and the caller of a request. Pure."""

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
    """The sender of a request."""

    #: The name of the key, as it stands in the log.
    name: str
    role: Role
    #: Whether the caller has a key; without keys all users of this machine are one caller.
    keyed: bool = True

    def may(self, role: Role) -> bool:
        """Whether the caller has this role or a higher one."""
        return self.role >= role


#: The caller of a web view without keys, which only this machine reaches.
LOCAL: Final = Caller("local", Role.OPERATOR, keyed=False)
#: The caller as long as there is no request.
NOBODY: Final = Caller("nobody", Role.VIEWER, keyed=False)
