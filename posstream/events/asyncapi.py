"""The events of the platform and of all plugins as an AsyncAPI 3.0 document. No I/O."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from posstream import __version__
from posstream.configuration.record import configuration_event
from posstream.dead_letters.record import dead_letter_event
from posstream.events.model import EventModel
from posstream.kafka.topics import PLATFORM_TOPICS, TopicSpec
from posstream.plugin import Plugin

#: Of the bindings for Kafka, in every object that has one.
_BINDING: Final = "0.5.0"
_JSON: Final = "application/json"


def events_of(plugins: Iterable[Plugin]) -> Sequence[EventModel]:
    """Every event that others may rely on."""
    plugins = tuple(plugins)
    return (
        *(event for plugin in plugins for event in plugin.events),
        configuration_event(plugins),
        *(dead_letter_event(plugin) for plugin in plugins if plugin.dead_letters),
    )


def document(plugins: Iterable[Plugin]) -> dict[str, Any]:
    """The document, ready for JSON; operations are named from posstream's side."""
    plugins = tuple(plugins)
    events = events_of(plugins)
    specs = {spec.name: spec for spec in PLATFORM_TOPICS}
    specs |= {spec.name: spec for plugin in plugins for spec in plugin.topics}
    channels = _channels(events)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "posstream",
            "version": __version__,
            "description": (
                "A crash may repeat an event, with the same ids. Ignore fields that you do not "
                "know: there may be more of them in time."
            ),
        },
        "defaultContentType": _JSON,
        "channels": {name: _channel(its, specs[its[0].topic]) for name, its in channels.items()},
        "operations": {
            f"{action}{name}": _operation(action, name, done)
            for name, its in channels.items()
            for action, done in (
                ("receive", [it for it in its if it.received]),
                ("send", [it for it in its if it.sent]),
            )
            if done
        },
        "components": {"messages": {event.name: _message(event, specs) for event in events}},
    }


def _channels(events: Sequence[EventModel]) -> dict[str, list[EventModel]]:
    """The events of each topic, by the name of its channel: that of its event, if it has one."""
    of_topics: dict[str, list[EventModel]] = {}
    for event in events:
        of_topics.setdefault(event.topic, []).append(event)
    return {
        its[0].name if len(its) == 1 else "".join(map(str.capitalize, topic.split("-"))): its
        for topic, its in of_topics.items()
    }


def _operation(action: str, channel: str, events: Sequence[EventModel]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{it.name}"} for it in events],
    }


def _channel(events: Sequence[EventModel], spec: TopicSpec) -> dict[str, Any]:
    return {
        "address": spec.name,
        "description": events[0].summary if len(events) == 1 else f"Each message: {spec.value}.",
        "messages": {it.name: {"$ref": f"#/components/messages/{it.name}"} for it in events},
        "bindings": {
            "kafka": {
                "topic": spec.name,
                # How many there are elsewhere is a setting.
                **({} if spec.partitions is None else {"partitions": spec.partitions}),
                "topicConfiguration": {
                    "cleanup.policy": spec.cleanup_policy.split(","),
                    "retention.ms": spec.retention_ms,
                },
                "bindingVersion": _BINDING,
            }
        },
    }


def _message(event: EventModel, specs: dict[str, TopicSpec]) -> dict[str, Any]:
    key, schema = specs[event.topic].key, event.schema
    message: dict[str, Any] = {
        "name": event.name,
        "summary": event.summary,
        "contentType": "application/octet-stream" if schema is None else _JSON,
        "payload": {"description": "any bytes"} if schema is None else schema,
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": f"The key is: {key}."},
                "bindingVersion": _BINDING,
            }
        },
    }
    if event.headers:
        message["headers"] = {
            "type": "object",
            "properties": {name: {"type": "string"} for name in event.headers},
        }
    if event.example is not None:
        message["examples"] = [{"name": event.name, "payload": event.example}]
    return message
