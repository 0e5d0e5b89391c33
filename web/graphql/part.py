"""How a plugin declares its part of the GraphQL schema."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from posstream.domain.roles import Role
from web.graphql.context import GraphQLContext

#: The role that a mutation needs, whatever its arguments or by them.
Permission = Role | Callable[[Mapping[str, Any]], Role]
#: A value of a field as the caller of the request may see it.
Mask = Callable[[GraphQLContext, Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphQLPart:
    """What a plugin adds to the schema. Classes and fields are graphene's.

    Names of fields are those of Python (`start_basket`) where graphene makes the field of them, and
    those of the schema (`responseData`) where they select fields of any type.
    """

    #: Mixins of `Query`, with fields and their resolvers.
    queries: tuple[type[Any], ...] = ()
    #: Field of `Mutation` -> mutation.
    mutations: Mapping[str, type[Any]] = field(default_factory=dict)
    #: Field of `Mutation` -> who may call it; by default operators.
    permissions: Mapping[str, Permission] = field(default_factory=dict)
    #: Mixins of `Subscription`.
    subscriptions: tuple[type[Any], ...] = ()
    #: Name of a type, such as `Customer` -> fields that it gains, each with its `resolver`. They
    #: are left out if no plugin brings the type.
    fields: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    #: Field of `Query` that another plugin brings (`basket`) -> a resolver that is asked where the
    #: field's own has nothing. Left out if no plugin brings the field.
    fallbacks: Mapping[str, Callable[..., Awaitable[Any]]] = field(default_factory=dict)
    #: Field of the schema that holds personal data -> how its value is shown. See `web.graphql.
    #: masking` for those that are masked everywhere, and for the masks that there are.
    masks: Mapping[str, Mask] = field(default_factory=dict)
    #: Fields of the schema that search, count or collect: each is a statement or more, and one
    #: operation may have few of them.
    searches: frozenset[str] = frozenset()
    #: Example operations on the page for people. Each needs a name, which its tab shows.
    examples: tuple[str, ...] = ()
