"""A resolver that calls `sys.exit` is that field's error: the worker and other fields go on."""

import sys
from collections.abc import AsyncIterator
from typing import Any

import graphene
import pytest
from aiohttp import ClientPayloadError

from posstream.domain.roles import Role
from tests.component.test_graphql_sse import STREAM, answered
from tests.component.test_plugin_parts import plugin
from tests.component.web_client import WebView, running_web
from web.graphql.part import GraphQLPart


class LeavingQuery:
    at_once = graphene.String()
    later = graphene.String()
    stays = graphene.String()

    def resolve_at_once(self, _info: Any) -> str:
        sys.exit("secret")

    async def resolve_later(self, _info: Any) -> str:
        sys.exit("secret")

    async def resolve_stays(self, _info: Any) -> str:
        return "here"


class Leave(graphene.Mutation):
    class Meta:
        output = graphene.String

    async def mutate(self, _info: Any) -> str:
        sys.exit("secret")


class LeavingSubscription:
    before = graphene.String()
    meanwhile = graphene.String()

    async def subscribe_before(self, _info: Any) -> AsyncIterator[str]:
        sys.exit("secret")

    async def subscribe_meanwhile(self, _info: Any) -> AsyncIterator[str]:
        async def events() -> AsyncIterator[str]:
            yield "first"
            sys.exit("secret")

        return events()

    def resolve_meanwhile(self, _info: Any) -> Any:
        return self


@pytest.fixture
async def view() -> AsyncIterator[WebView]:
    part = GraphQLPart(
        queries=(LeavingQuery,),
        mutations={"leave": Leave},
        permissions={"leave": Role.VIEWER},
        subscriptions=(LeavingSubscription,),
    )
    async with running_web(plugins=[plugin(graphql=lambda: part)]) as view:
        yield view


@pytest.mark.parametrize(
    ("query", "data"),
    [
        ("{ atOnce stays }", {"atOnce": None, "stays": "here"}),
        ("{ later stays }", {"later": None, "stays": "here"}),
        ("mutation { leave }", {"leave": None}),
    ],
)
async def test_a_field_that_exits_is_null_and_the_others_are_answered(
    view: WebView, query: str, data: Any
) -> None:
    response = await view.post({"query": query})
    told = await response.json()
    assert told["data"] == data
    assert [it["extensions"]["code"] for it in told["errors"]] == ["INTERNAL"]
    assert "secret" not in str(told)
    await still_answers(view)


async def test_a_subscription_that_exits_at_its_start_is_refused(view: WebView) -> None:
    response = await view.post({"query": "subscription { before }"}, Accept=STREAM)
    told = await response.text()
    assert "INTERNAL" in told
    assert "secret" not in told
    await still_answers(view)


async def test_a_subscription_that_exits_later_is_cut_off(view: WebView) -> None:
    response = await view.post({"query": "subscription { meanwhile }"}, Accept=STREAM)
    assert await answered(response) == {"data": {"meanwhile": "first"}}
    with pytest.raises(ClientPayloadError):
        await response.text()
    await still_answers(view)


async def still_answers(view: WebView) -> None:
    response = await view.post({"query": "{ stays }"})
    assert await response.json() == {"data": {"stays": "here"}}
