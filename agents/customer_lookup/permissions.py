"""Which role may call which mutation of the plugin."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from posstream.domain.roles import Role


def role_for_eviction(arguments: Mapping[str, Any]) -> Role:
    """One customer is a matter of support; many are a matter of load on the directory."""
    many = arguments.get("prefix") is not None or arguments.get("all")
    return Role.OPERATOR if many else Role.SUPPORT


#: By mutation: the role that may call the mutation, or what finds the role by its arguments.
PERMISSIONS: Final[Mapping[str, Role | Callable[[Mapping[str, Any]], Role]]] = {
    "start_basket": Role.SUPPORT,
    "identify_customer": Role.SUPPORT,
    "evict_customer": role_for_eviction,
    "control_breaker": Role.OPERATOR,
}
