"""What plugins add to GraphQL and to the console, and what a plugin in trouble takes away."""

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import graphene
import pytest
from aiohttp import web as http

from agents.customer_lookup import PLUGIN
from posstream.domain.access_key import read_access_keys
from posstream.domain.errors import StartRefused
from posstream.domain.roles import Caller, Role
from posstream.plugin import Built, Kit, Plugin
from posstream.settings import Settings
from tests.component.web_client import WebView, application_of, running_web, schema
from web.console import contained
from web.console.navigation import NavigationEntry
from web.console.part import ConsoleKit, ConsolePart, PageAddition, Panel
from web.graphql.masking import show_document, show_identifiers
from web.graphql.part import GraphQLPart
from web.plugin_parts import plugin_parts

VIEWER, SUPPORT = "viewer-key-01234", "support-key-0123"
KEYS = Settings(named_keys=read_access_keys(f"viewer:{VIEWER};support:{SUPPORT}"))
BROWSER = {"Accept": "text/html"}


class ToyQuery(graphene.ObjectType):
    """The part of `Query` of the toy."""

    toy_email = graphene.String()
    email = graphene.String()

    @staticmethod
    def resolve_email(_root: None, info: Any) -> str:
        return str(info.context.ports("toy"))


class Wind(graphene.Mutation):
    """Wind the toy up."""

    success = graphene.Boolean(required=True)

    @staticmethod
    def mutate(_root: None, _info: Any) -> dict[str, bool]:
        return {"success": True}


def visits(customer: Any, _info: Any) -> str:
    """The field that the toy adds to a customer."""
    return f"visits of {customer.customer_id}"


TOY = GraphQLPart(
    queries=(ToyQuery,),
    mutations={"wind": Wind},
    permissions={"wind": Role.SUPPORT},
    fields={
        "Customer": {"toy_visits": graphene.String(resolver=visits)},
        "Nobody": {"name": graphene.String()},
    },
    masks={"toyVisits": show_document},
    searches=frozenset({"toyEmail"}),
    examples=("query Toy { email }",),
)


def build(_: Kit) -> Built:
    raise NotImplementedError


def plugin(
    name: str = "toy",
    graphql: Callable[[], GraphQLPart] | None = None,
    pages: Callable[[], ConsolePart] | None = None,
) -> Plugin:
    """A plugin of a test."""
    return Plugin(name=name, description="A toy.", build=build, graphql=graphql, pages=pages)


def raises() -> Any:
    """The import of a part that is broken."""
    raise ImportError("no module named toys")


def page(path: str = "/toy") -> Callable[[ConsoleKit], Sequence[http.RouteDef]]:
    """Routes with one page, which says what the toy built."""

    def routes(kit: ConsoleKit) -> list[http.RouteDef]:
        async def show(request: http.Request) -> http.Response:
            ports = str(kit.context.ports("toy"))
            return kit.pages.missing(request, "The toy", ports, ("/", "Overview"), 200)

        return [http.get(path, show)]

    return routes


def console(**parts: Any) -> ConsolePart:
    """The toy's part of the console."""
    return ConsolePart(**{"routes": page(), **parts})


async def ask(view: WebView, path: str, **options: Any) -> tuple[int, str]:
    response = await view.client.get(path, **options)
    return response.status, await response.text()


def test_a_plugin_adds_fields_to_the_roots_and_to_the_type_of_another_one() -> None:
    made = plugin_parts([PLUGIN, plugin(graphql=lambda: TOY)])
    assert made.failures == {}
    types = made.schema.graphql.type_map
    before = schema().graphql.type_map
    added = {
        name: sorted(types[name].fields.keys() - before[name].fields.keys())  # type: ignore[attr-defined]
        for name in ("Query", "Mutation", "Customer")
    }
    assert added == {
        "Query": ["email", "toyEmail"],
        "Mutation": ["wind"],
        "Customer": ["toyVisits"],
    }


def test_a_schema_without_the_plugin_has_none_of_its_fields() -> None:
    plugin_parts([PLUGIN, plugin(graphql=lambda: TOY)])
    fields = schema().graphql.type_map["Customer"].fields  # type: ignore[attr-defined]
    assert "toyVisits" not in fields


def test_a_field_of_a_type_that_no_plugin_brings_is_left_out() -> None:
    made = plugin_parts([plugin(graphql=lambda: TOY)])
    assert made.failures == {}
    assert {"Customer", "Nobody"} & made.schema.graphql.type_map.keys() == set()


@pytest.mark.parametrize(
    ("part", "claim"),
    [
        (GraphQLPart(queries=(ToyQuery,)), "Query.toyEmail"),
        (GraphQLPart(mutations={"wind": Wind}), "Mutation.wind"),
        (GraphQLPart(fields={"Customer": {"toy_visits": graphene.Int()}}), "Customer.toyVisits"),
        (GraphQLPart(masks={"toyVisits": visits}), "the mask of toyVisits"),
    ],
)
def test_two_plugins_that_claim_one_field_are_refused_and_both_are_named(
    part: GraphQLPart, claim: str
) -> None:
    with pytest.raises(StartRefused) as refused:
        plugin_parts([plugin("one", lambda: TOY), plugin("other", lambda: part)])
    assert str(refused.value) == (
        f"{claim} of the GraphQL schema is claimed by one and by other: "
        "leave one of them out with POSSTREAM_PLUGINS"
    )


def test_a_plugin_that_adds_a_field_which_the_type_has_is_refused() -> None:
    part = GraphQLPart(fields={"Customer": {"tier": graphene.String()}})
    with pytest.raises(StartRefused, match=r"claimed by toy and by agents\.customer_lookup"):
        plugin_parts([PLUGIN, plugin(graphql=lambda: part)])


def test_a_plugin_takes_no_field_of_the_platform() -> None:
    class Mine(graphene.ObjectType):
        plugin_configuration = graphene.String()

    with pytest.raises(StartRefused, match="claimed by posstream and by toy"):
        plugin_parts([plugin(graphql=lambda: GraphQLPart(queries=(Mine,)))])


def test_a_plugin_unmasks_no_field_that_is_masked_everywhere() -> None:
    part = GraphQLPart(masks={"email": visits})
    with pytest.raises(StartRefused, match="the mask of email of the GraphQL schema is claimed"):
        plugin_parts([plugin(graphql=lambda: part)])
    same = GraphQLPart(masks={"email": show_identifiers})
    assert plugin_parts([plugin(graphql=lambda: same)]).failures == {}


async def test_the_permission_and_the_masks_of_a_plugin_hold() -> None:
    toy = plugin(graphql=lambda: TOY)
    answers = {}
    async with running_web(KEYS, plugins=[toy]) as view:
        view.runs("toy", "toy@example.com")
        for key in (VIEWER, SUPPORT):
            documents = [
                await view.post({"query": query}, Authorization=f"Bearer {key}")
                for query in (
                    "mutation { wind { success } }",
                    '{ email customer(customerId: "CUST_001") { toyVisits } }',
                )
            ]
            answers[key] = tuple([(await it.json())["data"] for it in documents])
    assert answers == {
        VIEWER: (
            {"wind": None},
            {"email": "to******com", "customer": {"toyVisits": "vi******001"}},
        ),
        SUPPORT: (
            {"wind": {"success": True}},
            {"email": "toy@example.com", "customer": {"toyVisits": "visits of CUST_001"}},
        ),
    }


async def test_an_operation_may_have_few_fields_that_a_plugin_calls_costly() -> None:
    many = "{" + " ".join(f"a{number}: toyEmail" for number in range(21)) + "}"
    async with running_web(plugins=[plugin(graphql=lambda: TOY)]) as view:
        response = await view.post({"query": many})
        (error,) = (await response.json())["errors"]
    assert error["extensions"]["code"] == "QUERY_TOO_COMPLEX"


async def test_a_browser_is_shown_the_examples_of_the_plugins() -> None:
    async with running_web(plugins=[plugin(graphql=lambda: TOY)]) as view:
        _, text = await ask(view, "/graphql/", headers=BROWSER)
    assert "query Toy { email }" in text


async def test_a_field_of_a_failed_plugin_says_why_and_all_others_answer() -> None:
    async with running_web(plugins=[plugin(graphql=lambda: TOY)]) as view:
        view.fails("toy", "it broke")
        answer = await view.graphql('{ email customer(customerId: "CUST_001") { tier } }')
    assert answer["data"] == {"email": None, "customer": {"tier": "GOLD"}}
    (error,) = answer["errors"]
    assert (error["message"], error["extensions"]) == (
        "the plugin toy has failed: it broke",
        {"code": "PLUGIN_FAILED"},
    )


async def test_a_failed_lookup_answers_no_query_and_leaves_the_others() -> None:
    async with running_web(plugins=[plugin(graphql=lambda: TOY)]) as view:
        view.runs("toy", "a toy")
        view.fails(PLUGIN.name, "PostgreSQL broke")
        answer = await view.graphql('{ email customer(customerId: "CUST_001") { tier } }')
        page = await ask(view, "/lookups", headers=BROWSER)
        program = await view.client.get("/lookups.csv")
        told = (await program.json())["error"]
    assert answer["data"] == {"email": "a toy", "customer": None}
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["PLUGIN_FAILED"]
    assert page[0] == 503
    assert "The plugin customer_lookup has failed: PostgreSQL broke." in page[1]
    assert '<nav aria-label="Pages">' in page[1]
    assert (program.status, told["code"]) == (503, "PLUGIN_FAILED")


async def test_the_mock_directory_answers_whether_the_lookup_runs_or_not() -> None:
    async with running_web(Settings(plugin_values={"POSSTREAM_MOCK_DIRECTORY": True})) as view:
        view.fails(PLUGIN.name, "it broke")
        status, _ = await ask(view, "/api/mock-customer-lookup/CARD_123456/")
    assert status == 200


async def test_a_part_that_cannot_be_imported_fails_its_plugin_alone() -> None:
    toys = [plugin("one", raises), plugin("other", lambda: TOY, raises)]
    async with running_web(plugins=toys) as view:
        assert view.failures == {
            "one": "its GraphQL cannot be made (ImportError: no module named toys)",
            "other": "its pages cannot be made (ImportError: no module named toys)",
        }
        answer = await view.graphql('{ customer(customerId: "CUST_001") { tier } }')
    assert answer == {"data": {"customer": {"tier": "GOLD"}}}


async def test_a_part_that_fits_into_no_schema_fails_its_plugin_alone() -> None:
    class Wrong(graphene.ObjectType):
        wrong = graphene.Field(int)

    toys = [plugin("one", lambda: GraphQLPart(queries=(Wrong,))), plugin("other", lambda: TOY)]
    async with running_web(plugins=toys) as view:
        assert list(view.failures) == ["one"]
        view.runs("toy", "a toy")
        assert await view.graphql("{ email }") == {"data": {"email": "a toy"}}


async def test_pages_that_cannot_be_made_fail_their_plugin_alone() -> None:
    toy = plugin(pages=lambda: console(routes=raises))
    async with running_web(plugins=[toy]) as view:
        assert list(view.failures) == ["toy"]
        assert (await ask(view, "/lookups", headers=BROWSER))[0] == 200


async def test_a_plugin_adds_a_page_and_its_place_in_the_navigation() -> None:
    entry = NavigationEntry(path="/toy", title="Toys", role=Role.VIEWER, order=150)
    toy = plugin(pages=lambda: console(navigation=(entry,), paths=(("/toy.txt", "the toy"),)))
    async with running_web(plugins=[toy]) as view:
        view.runs("toy", "wound up")
        status, text = await ask(view, "/toy", headers=BROWSER)
        _, index = await ask(view, "/")
    assert status == 200
    assert "wound up" in text
    assert text.index(">Lookups<") < text.index(">Toys<") < text.index(">Customers<")
    assert f"{'/toy.txt':<45}the toy\n" in index


async def none(_: http.Request) -> Any:
    return None


async def text_of_a_page(_: http.Request) -> Any:
    return "<p>a page</p>"


def no_coroutine(_: http.Request) -> Any:
    return None


async def secret(_: http.Request) -> Any:
    raise ZeroDivisionError("secret")


async def leaves(_: http.Request) -> Any:
    raise SystemExit("secret")


@pytest.mark.parametrize("handler", [none, text_of_a_page, no_coroutine, secret, leaves])
@pytest.mark.parametrize("part", ["routes", "public_routes"])
@pytest.mark.filterwarnings("ignore:Bare functions are deprecated")
async def test_a_page_that_raises_or_gives_no_response_is_the_console_s_and_names_the_plugin(
    part: str, handler: Any, caplog: pytest.LogCaptureFixture
) -> None:
    routes = {part: lambda _: [http.get("/toy/{id}", handler)]}
    async with running_web(plugins=[plugin(pages=lambda: console(**routes))]) as view:
        status, text = await ask(view, "/toy/17", headers=BROWSER)
        program = await view.client.get("/toy/17")
        error = (await program.json())["error"]
        assert (await ask(view, "/lookups", headers=BROWSER))[0] == 200
    assert status == 500
    assert "The plugin toy failed. The log of the worker has the cause under the reference" in text
    assert '<nav aria-label="Pages">' in text
    assert "secret" not in text
    assert (program.status, error["code"]) == (500, "INTERNAL")
    lines = [it.getMessage() for it in caplog.records if it.levelname == "ERROR"]
    assert [line.partition(" failed, ")[0] for line in lines] == [
        "the page GET /toy/{id} of the plugin toy"
    ] * 2
    assert error["reference"] in lines[1]


async def test_a_public_page_that_raises_tells_a_browser_without_a_key_no_more_than_a_program(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pages = console(public_routes=lambda _: [http.get("/toy", secret)])
    async with running_web(KEYS, plugins=[plugin(pages=lambda: pages)]) as view:
        answer = await view.client.get("/toy", headers=BROWSER)
        error = (await answer.json())["error"]
    assert (answer.status, error["code"]) == (500, "INTERNAL")
    (line,) = [it.getMessage() for it in caplog.records if it.levelname == "ERROR"]
    assert line.endswith(f"the plugin toy failed, reference {error['reference']}")


async def test_a_page_needs_a_key_and_a_route_that_is_public_needs_none() -> None:
    async def greet(_: http.Request) -> http.Response:
        return http.Response(text="hello")

    def public(_: ConsoleKit) -> list[http.RouteDef]:
        return [http.get("/toys/{name:[^/]+}", greet)]

    toy = plugin(pages=lambda: console(public_routes=public))
    async with running_web(KEYS, plugins=[toy]) as view:
        assert (await ask(view, "/toys/1"), (await ask(view, "/toy"))[0]) == ((200, "hello"), 401)


def test_two_plugins_that_claim_one_page_are_refused_and_both_are_named() -> None:
    toys = [plugin(name, pages=console) for name in ("one", "other")]
    with pytest.raises(StartRefused) as refused:
        served(toys)
    assert str(refused.value) == (
        "the page GET /toy is claimed by one and by other: "
        "leave one of them out with POSSTREAM_PLUGINS"
    )


@pytest.mark.parametrize(
    "path", ["/dead-letters", "/", "/metrics", "/health/ready", "/login", "/graphql/"]
)
def test_a_plugin_takes_no_page_of_the_platform(path: str) -> None:
    with pytest.raises(StartRefused, match=f"GET {path} is claimed by toy and by posstream"):
        served([plugin(pages=lambda: console(routes=page(path)))])


def served(plugins: Sequence[Plugin]) -> None:
    application_of(WebView(), plugins=plugins)


def panel(render: Callable[[], Any]) -> Callable[[ConsoleKit], Sequence[Panel]]:
    return lambda _: [Panel(name="toy", label="Toy", render=render)]


async def test_the_overview_has_the_panels_of_all_plugins_and_their_states() -> None:
    async def render(_: timedelta) -> str:
        return "<i>escaped, as the panel is no markup</i>"

    async with running_web(plugins=[plugin(pages=lambda: console(panels=panel(render)))]) as view:
        _, text = await ask(view, "/", headers=BROWSER)
    assert "&lt;i&gt;escaped" in text
    assert text.index('id="this-worker"') < text.index('id="toy"') < text.index('id="plugins"')
    assert '<th scope="row" class="answer">toy</th>' in text


async def test_the_overview_says_nothing_of_plugins_while_there_is_one_and_it_runs() -> None:
    async with running_web() as view:
        _, text = await ask(view, "/", headers=BROWSER)
        assert '<section id="plugins" aria-label="Plugins"></section>' in text
        view.fails(PLUGIN.name, "it broke")
        _, text = await ask(view, "/", headers=BROWSER)
    assert '<span class="tag bad">failed</span> it broke' in text
    assert text.count("The plugin customer_lookup has failed: it broke.") == 3


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (ZeroDivisionError("secret"), "ZeroDivisionError"),
        (SystemExit("secret"), "SystemExit"),
        (3, "must be HTML, and not int"),
        (None, "TimeoutError"),
    ],
)
async def test_a_panel_that_raises_hangs_or_is_no_html_takes_no_other_panel_away(
    made: object, why: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contained, "PART_SECONDS", 0.05)

    async def render(_: timedelta) -> Any:
        if isinstance(made, BaseException):
            raise made
        if made is None:
            await asyncio.Event().wait()
        return made

    async with running_web(plugins=[plugin(pages=lambda: console(panels=panel(render)))]) as view:
        status, text = await ask(view, "/", headers=BROWSER)
    assert status == 200
    assert "The panel of toy cannot be shown, reference" in text
    assert "secret" not in text
    assert "This worker" in text
    assert why in caplog.text


async def test_a_plugin_adds_to_a_page_of_another_one_and_fails_there_alone() -> None:
    async def named(_: http.Request, about: str) -> str:
        return f"<p>the toy knows {about}</p>"

    async def broken(_: http.Request, about: str) -> str:
        raise ZeroDivisionError(about)

    parts = [named, broken]
    made = [PageAddition(page="basket", render=render) for render in parts]
    toy = plugin(pages=lambda: console(additions=lambda _: made))
    async with running_web(plugins=[toy]) as view:
        status, text = await ask(view, "/baskets/b1", headers=BROWSER)
        _, other = await ask(view, "/try", headers=BROWSER)
    assert status == 200
    assert "<p>the toy knows b1</p>" in text
    assert "The part of toy cannot be shown, reference" in text
    assert "the toy knows" not in other


async def test_a_banner_stands_on_every_page_while_its_plugin_runs() -> None:
    def banner(kit: ConsoleKit) -> Callable[[Caller], str]:
        return lambda caller: f"{kit.context.ports('toy')} for {caller.role.label}"

    async with running_web(plugins=[plugin(pages=lambda: console(banner=banner))]) as view:
        view.runs("toy", "Winding")
        _, text = await ask(view, "/lookups", headers=BROWSER)
        assert "Winding for operator" in text
        view.fails("toy", "it broke")
        status, text = await ask(view, "/lookups", headers=BROWSER)
    assert status == 200
    assert "Winding" not in text


async def test_without_the_lookup_the_web_view_has_the_platform_s_own_pages() -> None:
    made = plugin_parts([dataclasses.replace(PLUGIN, graphql=None, pages=None)])
    kind = made.schema.graphql.mutation_type
    assert kind is not None
    assert sorted(kind.fields) == ["forgetCustomer", "updatePluginConfiguration"]
    assert made.schema.graphql.subscription_type is None
