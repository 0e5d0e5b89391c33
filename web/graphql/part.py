"""How a plugin declares its part of the GraphQL schema."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from posstream.domain.roles import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphQLPart:
    """What a plugin adds to the schema. Classes and fields are graphene's."""

    #: Mixins of the root types, with fields and their resolvers.
    queries: tuple[type[Any], ...] = ()
    #: Field name -> mutation.
    mutations: Mapping[str, Any] = field(default_factory=dict)
    subscriptions: tuple[type[Any], ...] = ()
    #: Name of a shared type, such as `Customer` -> fields that it gains, with resolvers.
    fields: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    #: Mutation -> the role that may call it, whatever its arguments or by them.
    permissions: Mapping[str, Role | Callable[[Mapping[str, Any]], Role]] = field(
        default_factory=dict
    )
