"""The topics as an AsyncAPI 3.0 document, made from their declarations and schemas. No I/O."""

from typing import Any, Final

from agents.customer_lookup.event_schemas import EVENTS, EventDescription
from posstream import __version__
from posstream.kafka.topics import TopicSpec
from posstream.plugins.discovery import find_plugins

#: Of the bindings for Kafka, in every object that has one.
_BINDING: Final = "0.5.0"
_JSON: Final = "application/json"


def document() -> dict[str, Any]:
    """The document, ready for JSON; operations are named from posstream's side."""
    specs = {spec.name: spec for spec in find_plugins().topics}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "posstream",
            "version": __version__,
            "description": (
                "Every message on customer-identified gets exactly one terminal answer: one on "
                "customer-data-fetched or customer-lookup-failed, or one dead letter. "
                "A crash may repeat an answer, with the same ids. Ignore fields that you do not "
                "know: there may be more of them in time."
            ),
        },
        "defaultContentType": _JSON,
        "channels": {event.name: _channel(event, specs[event.topic]) for event in EVENTS},
        "operations": {
            f"{action}{event.name}": {
                "action": action,
                "channel": {"$ref": f"#/channels/{event.name}"},
                "messages": [{"$ref": f"#/channels/{event.name}/messages/{event.name}"}],
            }
            for event in EVENTS
            for action, is_done in (("receive", event.received), ("send", event.sent))
            if is_done
        },
        "components": {"messages": {event.name: _message(event, specs) for event in EVENTS}},
    }


def _channel(event: EventDescription, spec: TopicSpec) -> dict[str, Any]:
    return {
        "address": spec.name,
        "description": event.summary,
        "messages": {event.name: {"$ref": f"#/components/messages/{event.name}"}},
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


def _message(event: EventDescription, specs: dict[str, TopicSpec]) -> dict[str, Any]:
    key = specs[event.topic].key
    message: dict[str, Any] = {
        "name": event.name,
        "summary": event.summary,
        "contentType": "application/octet-stream" if event.schema is None else _JSON,
        "payload": {"description": "any bytes"} if event.schema is None else event.schema,
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
