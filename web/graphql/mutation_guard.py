"""Guards mutations: who may call them, and a line in the audit log for each call."""

import inspect
from collections.abc import Mapping
from typing import Any

from graphql import GraphQLField, GraphQLSchema, default_field_resolver

from posstream.domain.roles import Role
from web.access import audit
from web.graphql.context import GraphQLContext, refusal
from web.graphql.part import Permission


def guard_mutations(schema: GraphQLSchema, permissions: Mapping[str, Permission]) -> None:
    """Guard every mutation; one without a permission is for operators."""
    kind = schema.mutation_type
    for name, field in ({} if kind is None else kind.fields).items():
        _guard(name, field, permissions.get(name, Role.OPERATOR))


def _guard(name: str, field: GraphQLField, permission: Permission) -> None:
    resolve = field.resolve or default_field_resolver

    async def guarded(source: Any, info: Any, **arguments: Any) -> Any:
        context: GraphQLContext = info.context
        outcome = "failed"
        try:
            needed = permission if isinstance(permission, Role) else permission(arguments)
            if not context.caller.may(needed):
                outcome = "FORBIDDEN"
                raise refusal("FORBIDDEN", f"{name} is for the role {needed.label}")
            result = resolve(source, info, **arguments)
            if inspect.isawaitable(result):
                result = await result
            outcome = _outcome(result)
            return result
        finally:
            audit.changed(context.caller, name, arguments, outcome)

    field.resolve = guarded


def _outcome(result: Any) -> str:
    """`done`, or the code of the error in the mutation's own result, an object or a mapping."""
    error = result.get("error") if isinstance(result, Mapping) else getattr(result, "error", None)
    return "done" if error is None else f"refused, {error.code}"
