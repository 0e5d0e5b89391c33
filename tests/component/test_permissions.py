"""The tables of roles and masks, held to the schema."""

import dataclasses
import re
from collections.abc import Iterator

import pytest
from graphql import GraphQLObjectType, get_named_type

from agents.customer_lookup.read_model.records import BasketHistory, BasketRow, LookupLogRow
from posstream.domain.access_key import read_access_keys
from posstream.domain.roles import Caller, Role
from posstream.json.reading import read_json_exactly
from posstream.settings import Settings
from tests.component.fakes import NOW, john
from tests.component.test_graphql_websocket import initialised, next_message, publish, stands
from tests.component.web_client import running_web, schema
from tests.unit.test_timeline import ANSWER
from web.access.reveals import Reveals

VIEWER, SUPPORT = "viewer-key-01234", "support-key-0123"
SETTINGS = Settings(named_keys=read_access_keys(f"viewer:{VIEWER};support:{SUPPORT}"))

#: Names that sound like identifiers and are none.
HARMLESS = {"identifierKind", "responseTimestamp"}
#: Documents of operators, not of customers.
OPERATORS = {"config", "overrides"}

ATTEMPT = LookupLogRow(
    event_id="e1",
    lookup_id="l1",
    attempt=1,
    waiters=0,
    basket_id="b1",
    customer_identifier="+1234567890",
    identifier_kind="PHONE",
    api_endpoint="http://directory/",
    request_timestamp=NOW,
    response_timestamp=NOW,
    status="SUCCESS",
    http_status=200,
    response_data={"customer_id": "CUST_001", "phones": [1234567890], "gold": True},
    error_message=None,
    duration_ms=1,
)
LOGS = "{ lookupLogs { edges { node { eventId customerIdentifier responseData } } } }"
WHY = '{ explainLookup(basketId: "b1") { timeline { title detail { value } raw } } }'
HISTORY = BasketHistory(
    basket_id="b1",
    basket=BasketRow("b1", "1", "t1", "CUST_001", NOW, NOW),
    answers=(),
    attempts=(ATTEMPT,),
    origins=(),
    customer=john(),
)


def fields() -> Iterator[tuple[str, str]]:
    """The name and type of every field of every object."""
    for kind in schema().graphql.type_map.values():
        if isinstance(kind, GraphQLObjectType) and not kind.name.startswith("__"):
            for name, field in kind.fields.items():
                yield name, get_named_type(field.type).name


def test_every_mutation_has_its_role() -> None:
    made = schema()
    kind = made.graphql.mutation_type
    assert kind is not None
    missing = [name for name in kind.fields if name not in made.permissions]
    assert missing == [], "say in the plugin's GraphQLPart which role may call them"


def test_every_role_is_of_a_mutation_that_there_is() -> None:
    made = schema()
    kind = made.graphql.mutation_type
    assert kind is not None
    assert [name for name in made.permissions if name not in kind.fields] == []


def test_every_field_that_sounds_like_an_identifier_is_masked() -> None:
    masked = schema().masks.keys()
    telling = re.compile("mail|phone|identifier|raw|response|attributes", re.IGNORECASE)
    missing = {
        name
        for name, kind in fields()
        if name not in masked | HARMLESS
        and kind in {"String", "ID", "JSONString"}
        and telling.search(name)
    }
    assert missing == set(), "say in the plugin's GraphQLPart how they are masked"


def test_every_document_is_masked_or_an_operator_s() -> None:
    known = schema().masks.keys() | OPERATORS
    assert {name for name, kind in fields() if kind == "JSONString"} - known == set()


@pytest.mark.parametrize("query", [LOGS, WHY])
async def test_a_viewer_sees_no_identifier_in_logs_and_timelines(query: str) -> None:
    async with running_web(SETTINGS) as web:
        web.read_model.logs.append(ATTEMPT)
        web.read_model.histories["b1"] = HISTORY
        texts = {}
        for key in (VIEWER, SUPPORT):
            response = await web.post({"query": query}, Authorization=f"Bearer {key}")
            texts[key] = await response.text()
    assert "errors" not in texts[VIEWER]
    assert "1234567890" in texts[SUPPORT]
    assert "1234567890" not in texts[VIEWER]
    assert "john@example.com" not in texts[VIEWER]
    assert "true" in texts[VIEWER], "what cannot be an identifier stays"


async def test_a_viewer_sees_no_more_of_an_identifier_in_a_timeline_than_elsewhere() -> None:
    answer = dataclasses.replace(ANSWER, customer_identifier="john@example.com")
    query = '{ explainLookup(basketId: "b1") { timeline { detail { key value } } } }'
    shown = {}
    async with running_web(SETTINGS) as web:
        web.read_model.histories["b1"] = dataclasses.replace(HISTORY, answers=(answer,))
        for key in (VIEWER, SUPPORT):
            response = await web.post({"query": query}, Authorization=f"Bearer {key}")
            timeline = (await response.json())["data"]["explainLookup"]["timeline"]
            details = [detail for entry in timeline for detail in entry["detail"]]
            shown[key] = [it["value"] for it in details if it["key"] == "identifier"]
    assert shown == {VIEWER: ["jo******com"], SUPPORT: ["john@example.com"]}


async def test_a_viewer_sees_no_identifier_in_answers_as_they_come() -> None:
    query = "subscription { customerAnswered { eventId customerIdentifier customer { email phone "
    query += "attributes } } }"
    event = {
        "lookup_id": "l1",
        "customer_identifier": "+1234567890",
        "customer": {
            "email": "john@example.com",
            "phone": 1234567890,
            "attributes": {"mobile": "+1234567890"},
        },
    }
    async with running_web(SETTINGS) as web:
        headers = {"Authorization": f"Bearer {VIEWER}"}
        async with initialised(web, headers=headers) as socket:
            payload = {"query": query}
            await socket.send_json({"id": "1", "type": "subscribe", "payload": payload})
            await stands(socket)
            publish(web, "e1", **event)
            data = (await next_message(socket))["payload"]["data"]["customerAnswered"]
    assert data == {
        "eventId": "e1",
        "customerIdentifier": "+1******890",
        "customer": {
            "email": "jo******com",
            "phone": "12******890",
            "attributes": '{"mobile": "+1******890"}',
        },
    }


def test_a_number_of_the_directory_is_masked_however_long_it_is() -> None:
    document = read_json_exactly(b'{"phone": 493012345678901234567890, "float": 49301234567.50}')
    shown = Reveals(Caller("vera", Role.VIEWER), asked=True).show_document(document)
    assert shown == {"phone": "49******890", "float": "49******.50"}
