"""Which role may call which mutation: one table, enforced and written down in one place."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

from graphql import GraphQLField, GraphQLSchema, default_field_resolver

from posstream.domain.roles import Role
from web import audit
from web.graphql.context import GraphQLContext, refusal


def _of_eviction(arguments: Mapping[str, Any]) -> Role:
    """One customer is a matter of support; many are a matter of load on the directory."""
    many = arguments.get("prefix") is not None or arguments.get("all")
    return Role.OPERATOR if many else Role.SUPPORT


#: Mutation -> who may call it, whatever its arguments or by them.
MUTATIONS: Final[Mapping[str, Role | Callable[[Mapping[str, Any]], Role]]] = {
    "startBasket": Role.SUPPORT,
    "identifyCustomer": Role.SUPPORT,
    "evictCustomer": _of_eviction,
    "updatePluginConfiguration": Role.OPERATOR,
    "controlBreaker": Role.OPERATOR,
    "forgetCustomer": Role.OPERATOR,
}


def role_for(mutation: str, arguments: Mapping[str, Any]) -> Role:
    """Who may call it; what the table does not know is for operators."""
    needed = MUTATIONS.get(mutation, Role.OPERATOR)
    return needed if isinstance(needed, Role) else needed(arguments)


def guard_mutations(schema: GraphQLSchema) -> None:
    """Let only the roles of the table through, and write down who called what."""
    kind = schema.mutation_type
    for name, field in ({} if kind is None else kind.fields).items():
        _guard(name, field)


def _guard(name: str, field: GraphQLField) -> None:
    resolve = field.resolve or default_field_resolver

    async def guarded(source: Any, info: Any, **arguments: Any) -> Any:
        context: GraphQLContext = info.context
        outcome = "failed"
        try:
            needed = role_for(name, arguments)
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
    """Done, or the code of a refusal by the rules of the trade."""
    error = getattr(result, "error", None)
    return "done" if error is None else f"refused, {error.code}"
