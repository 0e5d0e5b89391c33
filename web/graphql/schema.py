"""Folds the GraphQL schema: the platform's own part and those of the plugins."""

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import graphene
from graphene.types.definitions import GrapheneObjectType
from graphene.types.utils import get_field_as
from graphene.utils.str_converters import to_camel_case
from graphql import GraphQLSchema

from posstream.domain.roles import Role
from web.folding import Claims
from web.graphql.configuration import UpdatePluginConfiguration, configuration_query
from web.graphql.exits import contain_exits
from web.graphql.forget import ForgetCustomer
from web.graphql.masking import MASKS, mask_fields
from web.graphql.mutation_guard import guard_mutations
from web.graphql.part import GraphQLPart, Mask, Permission

#: The name under which the platform claims its fields.
_PLATFORM: Final = "posstream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """The schema, and what plugins declared about its fields, by the fields' names in it."""

    graphql: GraphQLSchema
    permissions: Mapping[str, Permission]
    masks: Mapping[str, Mask]
    searches: frozenset[str]
    examples: tuple[str, ...]


def build_schema(plugins: Mapping[str, GraphQLPart], *, default: str = "") -> Schema:
    """The contract's schema (section 3) with the parts of these plugins.

    Args:
        plugins: parts by the name of their plugin.
        default: the plugin that is meant where a query names none.

    Raises:
        StartRefused: if two plugins claim one field; both are named.
    """
    parts = {_PLATFORM: _own_part(default), **plugins}
    claims = Claims()
    claims.take(_PLATFORM, (f"the mask of {field} of the GraphQL schema" for field in MASKS))
    for name, part in parts.items():
        claims.take(name, (f"{claim} of the GraphQL schema" for claim in _claims(part)))
    made = _with_added_fields(_made(parts.values()), parts, claims)
    schema = Schema(
        graphql=made,
        permissions={
            to_camel_case(mutation): permission
            for part in parts.values()
            for mutation, permission in part.permissions.items()
        },
        masks={name: mask for part in parts.values() for name, mask in part.masks.items()},
        searches=frozenset[str]().union(*(part.searches for part in parts.values())),
        examples=tuple(example for part in parts.values() for example in part.examples),
    )
    for part in parts.values():
        _fall_back(made, part)
    contain_exits(made)
    guard_mutations(made, schema.permissions)
    mask_fields(made, schema.masks)
    return schema


def _own_part(default: str) -> GraphQLPart:
    return GraphQLPart(
        queries=(configuration_query(default),),
        mutations={
            "update_plugin_configuration": UpdatePluginConfiguration,
            "forget_customer": ForgetCustomer,
        },
        permissions={
            "update_plugin_configuration": Role.OPERATOR,
            "forget_customer": Role.OPERATOR,
        },
        masks=MASKS,
    )


def _claims(part: GraphQLPart) -> Iterator[str]:
    for root, mixins in (("Query", part.queries), ("Subscription", part.subscriptions)):
        for field in _fields(_root(root, mixins)):
            yield f"{root}.{to_camel_case(field)}"
    for field in part.mutations:
        yield f"Mutation.{to_camel_case(field)}"
    for kind, fields in part.fields.items():
        for field in fields:
            yield f"{kind}.{to_camel_case(field)}"
    for field in part.fallbacks:
        yield f"the fallback of Query.{to_camel_case(field)}"
    for field, mask in part.masks.items():
        if MASKS.get(field) is not mask:  # a plugin may repeat a mask of the platform
            yield f"the mask of {field}"


def _made(parts: Collection[GraphQLPart]) -> GraphQLSchema:
    subscriptions = [mixin for part in parts for mixin in part.subscriptions]
    made: GraphQLSchema = graphene.Schema(
        query=_root(
            "Query", [mixin for part in parts for mixin in part.queries], "What posstream knows."
        ),
        mutation=_root(
            "Mutation",
            (),
            "What a till may tell posstream.",
            {name: it.Field() for part in parts for name, it in part.mutations.items()},
        ),
        subscription=_root("Subscription", subscriptions, "What posstream tells by itself.")
        if subscriptions
        else None,
    ).graphql_schema
    return made


def _root(
    name: str,
    mixins: Sequence[type[Any]],
    description: str = "",
    fields: Mapping[str, Any] | None = None,
) -> Any:
    return type(name, (*mixins, graphene.ObjectType), {"__doc__": description, **(fields or {})})


def _with_added_fields(
    made: GraphQLSchema, parts: Mapping[str, GraphQLPart], claims: Claims
) -> GraphQLSchema:
    """The schema with the fields that plugins add to types which another one brings."""
    added = [
        (name, made.type_map[kind].graphene_type, fields)  # type: ignore[attr-defined]
        for name, part in parts.items()
        for kind, fields in part.fields.items()
        if isinstance(made.type_map.get(kind), GrapheneObjectType)
    ]
    for _, kind, _ in added:
        own = (f"{kind.__name__}.{to_camel_case(field)}" for field in _fields(kind))
        claims.take(kind.__module__, (f"{field} of the GraphQL schema" for field in own))
    if not added:
        return made
    # A class of graphene's is one for the whole process, and a schema is one application's: the
    # class has the fields only while graphene reads them.
    try:
        for _, kind, fields in added:
            _fields(kind).update(
                {key: get_field_as(value, graphene.Field) for key, value in fields.items()}
            )
        return _made(parts.values())
    finally:
        for _, kind, fields in added:
            for field in fields:
                _fields(kind).pop(field, None)


def _fall_back(made: GraphQLSchema, part: GraphQLPart) -> None:
    """Ask a plugin's resolvers where those of another plugin have nothing."""
    known = made.query_type.fields if made.query_type else {}
    for name, other in part.fallbacks.items():
        field = known.get(to_camel_case(name))
        if field is not None:
            field.resolve = _first_of(field.resolve, other)


def _first_of(own: Any, other: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def resolve(root: Any, info: Any, **arguments: Any) -> Any:
        found = await own(root, info, **arguments)
        return await other(root, info, **arguments) if found is None else found

    return resolve


def _fields(kind: Any) -> dict[str, Any]:
    """The fields of a class of graphene's."""
    fields: dict[str, Any] = kind._meta.fields  # noqa: SLF001 - graphene has no other name
    return fields
