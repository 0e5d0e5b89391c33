"""The AsyncAPI document: whole, and true of what is written and read."""

from types import SimpleNamespace
from typing import Annotated, Any

import msgspec
import orjson
import pytest
from jsonschema import Draft7Validator, FormatChecker

from agents.customer_lookup import topics
from agents.customer_lookup.answers import Attempt, CustomerFound, Identification, LookupFailed
from agents.customer_lookup.events.reading import read_customer_update, read_identification
from agents.customer_lookup.events.writing import answered, attempted, basket_started, identified
from agents.customer_lookup.reasons import AttemptStatus, Reason, Source
from posstream.configuration.record import read_record, write_record
from posstream.configuration.version import ConfigurationVersion
from posstream.domain.customer import Customer
from posstream.domain.identifier import IdentifierKind
from posstream.domain.times import from_ms
from posstream.events.asyncapi import document, events_of
from posstream.events.model import EventModel
from posstream.kafka.record import Record
from posstream.kafka.topics import APP_ID, PLUGIN_CONFIGURATION, TopicSpec
from posstream.plugin import Built, Kit, Plugin
from posstream.plugins.discovery import find_plugins

NOW = 1_769_846_400_000
DOCUMENT = document(find_plugins())
EVENTS = events_of(find_plugins())
EXAMPLES = {event.topic: event.example for event in EVENTS if event.example is not None}
ASKED = Identification("l1", "basket_1", "+1234567890", IdentifierKind.PHONE, NOW)
REFUSED = Identification("l2", "basket_2", "411111******1111", None, NOW, refused="a card")
CUSTOMER = orjson.dumps(Customer("CUST_001", tier="GOLD").as_document())


def faults(topic: str, value: Any) -> list[str]:
    """What the schema of a topic holds against a value."""
    (name,) = [
        name for name, channel in DOCUMENT["channels"].items() if channel["address"] == topic
    ]
    return faults_of(name, value)


def faults_of(name: str, value: Any) -> list[str]:
    """What the schema of an event holds against a value."""
    message = DOCUMENT["components"]["messages"][name]
    validator = Draft7Validator(message["payload"], format_checker=FormatChecker())
    return [error.message for error in validator.iter_errors(value)]


def found() -> CustomerFound:
    return CustomerFound(ASKED, Source.API, CUSTOMER, NOW, NOW + 1000, 2, 1, 42, 3)


WRITTEN = [
    answered(found(), NOW),
    answered(LookupFailed(ASKED, Reason.TIMEOUT, "no answer", 2, 10, 3), NOW),
    answered(LookupFailed(REFUSED, Reason.INVALID_IDENTIFIER, "a card", 0, 0, 3), NOW),
    attempted(ASKED, Attempt(1, "http://d/", NOW, NOW + 5, 5, AttemptStatus.TIMEOUT), 2, NOW + 5),
    identified("basket_1", "+1234567890", NOW),
    basket_started("basket_1", 1, "t1", NOW),
    Record(
        PLUGIN_CONFIGURATION,
        b"customer_lookup",
        write_record(
            ConfigurationVersion(1, config={"timeout_seconds": 2.5}, updated_at=from_ms(NOW))
        ),
    ),
]


@pytest.mark.parametrize("record", WRITTEN, ids=lambda record: record.topic)
def test_what_posstream_writes_is_as_described(record: Record) -> None:
    value = orjson.loads(record.value or b"")
    assert faults(record.topic, value) == []
    described = next(event for event in EVENTS if event.topic == record.topic)
    assert {name for name, _ in record.headers} <= set(described.headers)
    # And nothing is written that is not described.
    assert described.schema is not None
    assert set(value) <= set(described.schema["properties"])


@pytest.mark.parametrize(
    "event", [it for it in EVENTS if it.example is not None], ids=lambda event: event.name
)
def test_each_example_is_as_described_and_without_a_required_field_it_is_not(
    event: EventModel,
) -> None:
    example = dict(event.example or {})
    assert faults_of(event.name, example) == []
    for name in (event.schema or {})["required"]:
        without = {key: value for key, value in example.items() if key != name}
        assert faults_of(event.name, without)
    assert faults_of(event.name, {**example, "a_field_of_tomorrow": 1}) == []


def test_what_posstream_reads_is_read() -> None:
    identified = orjson.dumps(EXAMPLES[topics.CUSTOMER_IDENTIFIED])
    read = read_identification(identified, topic="t", partition=0, offset=0, timestamp_ms=NOW)
    assert (read.identifier, read.deadline_ms) == ("+1234567890", 3000)
    updated = orjson.dumps(EXAMPLES[topics.CUSTOMER_UPDATED])
    assert read_customer_update(updated, timestamp_ms=NOW).customer_id == "CUST_001"
    assert read_record(orjson.dumps(EXAMPLES[PLUGIN_CONFIGURATION])).version == 3


@pytest.mark.parametrize("value", [{}, {"basket_id": "b"}, {"customer_identifier": "+1"}, []])
def test_what_posstream_refuses_is_not_as_described(value: Any) -> None:
    assert faults(topics.CUSTOMER_IDENTIFIED, value)


def test_there_is_a_channel_for_each_topic_that_is_not_internal() -> None:
    addresses = {channel["address"] for channel in DOCUMENT["channels"].values()}
    plugins = find_plugins()
    inner = {spec.name for spec in plugins.topics if spec.name.startswith(f"{APP_ID}-")}
    dead_letters = {plugin.dead_letters for plugin in plugins}
    assert addresses == {spec.name for spec in plugins.topics} - (inner - dead_letters)


def test_each_reference_leads_somewhere() -> None:
    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if "$ref" in value else []
            return own + [ref for item in value.values() for ref in references(item)]
        items = value if isinstance(value, list) else []
        return [ref for item in items for ref in references(item)]

    found = references(DOCUMENT)
    assert found
    for reference in found:
        place: Any = DOCUMENT
        for name in reference.removeprefix("#/").split("/"):
            place = place[name]


class Pinged(msgspec.Struct):
    """Somebody pinged."""

    word: str


class Keys(msgspec.Struct):
    """The live configuration of a plugin."""

    loudness: Annotated[int, msgspec.Meta(le=11)] = 5
    enabled: bool = True
    version: int = 0


def never_built(kit: Kit) -> Built:
    raise NotImplementedError


TOY = Plugin(
    name="ping_pong",
    description="Answers a ping.",
    build=never_built,
    topics=(
        TopicSpec("pinged", "anything", "Pinged", 1000),
        TopicSpec("pinged.dlq", "as received", "as received", 1000),
    ),
    dead_letters="pinged.dlq",
    events=(
        EventModel(
            topic="pinged",
            name="Pinged",
            summary="Somebody pinged.",
            model=Pinged,
            example={"word": "ping"},
            received=True,
            sent=False,
        ),
    ),
    configuration=SimpleNamespace(model=Keys),
)


def test_the_events_and_dead_letters_of_each_plugin_are_in_the_document() -> None:
    made = document([*find_plugins(), TOY])
    added = made["channels"].keys() - DOCUMENT["channels"].keys()
    assert added == {"Pinged", "PingPongDeadLetter"}
    assert made["channels"]["PingPongDeadLetter"]["address"] == "pinged.dlq"
    assert made["operations"].keys() - DOCUMENT["operations"].keys() == {
        "receivePinged",
        "sendPingPongDeadLetter",
    }
    assert made["components"]["messages"]["Pinged"]["payload"]["required"] == ["word"]


def test_the_keys_of_a_plugins_configuration_are_in_the_document() -> None:
    payload = document([TOY])["components"]["messages"]["PluginConfiguration"]["payload"]
    (keys,) = payload["properties"]["config"]["anyOf"]
    assert keys == {
        "title": "ping_pong",
        "properties": {"loudness": {"type": "integer", "maximum": 11, "default": 5}},
    }


def test_without_plugins_there_is_the_platforms_own_event() -> None:
    assert list(document([])["channels"]) == ["PluginConfiguration"]


def test_a_topic_of_several_events_is_one_channel() -> None:
    channel = DOCUMENT["channels"]["PosEvents"]
    types = {event.name for event in EVENTS if event.topic == "pos-events"}
    assert (channel["address"], set(channel["messages"])) == ("pos-events", types)
    assert {"ItemAdded", "PaymentCompleted"} < types
    told = DOCUMENT["operations"]["receivePosEvents"]["messages"]
    assert [it["$ref"] for it in told] == [
        f"#/channels/PosEvents/messages/{name}" for name in channel["messages"]
    ]
    assert "sendPosEvents" not in DOCUMENT["operations"]
