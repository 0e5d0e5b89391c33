"""What the GraphQL types of all plugins share."""

from typing import Final

import graphene

from web.graphql.context import refusal

#: GraphQL's Int has 32 bits; the read model has 64.
_MAX_INT: Final = 2**31 - 1
_MIN_INT: Final = -(2**31)


class MutationError(graphene.ObjectType):  # graphene is untyped
    """Why a mutation was refused."""

    code = graphene.String(required=True)
    message = graphene.String(required=True)


def whole(name: str, number: int) -> int:
    """A number, if GraphQL can say it; else an error that names the field."""
    if not _MIN_INT <= number <= _MAX_INT:
        raise refusal("OUT_OF_RANGE", f"{name} does not fit in 32 bits")
    return number
