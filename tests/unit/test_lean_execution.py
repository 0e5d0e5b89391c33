"""Plain fields in fewer steps: every answer and error is the one that graphql-core gives."""

import asyncio
from inspect import isawaitable
from typing import Any

import graphene
import pytest
from graphql import ExecutionResult, GraphQLSchema, execute, parse

from web.graphql.lean_execution import lean_execution


class Thing(graphene.ObjectType):  # graphene is untyped
    name = graphene.String()
    needed = graphene.String(required=True)
    number = graphene.Int()
    late = graphene.Int()
    raised = graphene.String()
    returned = graphene.String()
    wrong = graphene.Int()
    names = graphene.List(graphene.String)
    said = graphene.String(word=graphene.String(default_value="hello"))

    @staticmethod
    async def resolve_late(_thing: dict[str, Any], _info: Any) -> int:
        await asyncio.sleep(0)
        return 7

    @staticmethod
    def resolve_raised(_thing: dict[str, Any], _info: Any) -> str:
        raise ValueError("raised")

    @staticmethod
    def resolve_returned(_thing: dict[str, Any], _info: Any) -> Exception:
        return ValueError("returned")

    @staticmethod
    def resolve_said(_thing: dict[str, Any], _info: Any, word: str) -> str:
        return word


class Query(graphene.ObjectType):  # graphene is untyped
    thing = graphene.Field(Thing)
    things = graphene.List(graphene.NonNull(Thing))

    @staticmethod
    def resolve_thing(_root: None, _info: Any) -> dict[str, Any]:
        return {"name": "one", "number": 1, "wrong": "no number", "names": ["a", None]}

    @staticmethod
    def resolve_things(_root: None, _info: Any) -> list[dict[str, Any]]:
        return [{"name": "one", "needed": "x"}, {"name": True, "number": 2.0, "needed": None}]


SCHEMA: GraphQLSchema = graphene.Schema(query=Query).graphql_schema


async def answered(query: str, **options: Any) -> dict[str, Any]:
    result = execute(SCHEMA, parse(query), **options)
    ended: ExecutionResult = await result if isawaitable(result) else result
    return {"data": ended.data, "errors": [error.formatted for error in ended.errors or ()]}


@pytest.mark.parametrize(
    "fields",
    [
        "name number names __typename",
        "late name",
        "a: name b: late ... { number }",
        "name needed",
        "raised name returned wrong",
        'said other: said(word: "bye")',
    ],
)
@pytest.mark.parametrize("root", ["thing", "things"])
async def test_an_answer_is_that_of_graphql_core(root: str, fields: str) -> None:
    query = f"{{ {root} {{ {fields} }} __typename }}"
    lean = await answered(query, execution_context_class=lean_execution(SCHEMA))
    assert lean == await answered(query)
