"""The reference page of the topics has every field of every event, as its model says it."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from posstream.events.asyncapi import events_of
from posstream.events.model import whole_schema_of
from posstream.forgetting.record import CustomerForgotten
from posstream.plugins.discovery import find_plugins

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "topics.md").read_text()
SCHEMAS = {
    **{event.name: event.schema for event in events_of(find_plugins()) if event.schema is not None},
    "CustomerForgotten": whole_schema_of(CustomerForgotten),
}


def rows_of(schema: Mapping[str, Any]) -> list[str]:
    """The rows of an event's table: the required fields bold, and those of an object under it."""
    return [*_rows(schema, "")]


def _rows(schema: Mapping[str, Any], within: str) -> Iterator[str]:
    for name, field in schema["properties"].items():
        shown = f"`{within}{name}`"
        if name in schema["required"]:
            shown = f"**{shown}**"
        yield f"| {shown} | {_kind(field)} | {_what(field)} |"
        if "properties" in field:
            yield from _rows(field, f"{within}{name}.")


def _kind(field: Mapping[str, Any]) -> str:
    if "type" in field:
        return "time" if field.get("format") == "date-time" else str(field["type"])
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_kind(one) for one in field["anyOf"]))
    return " / ".join(f"`{value}`" for value in field.get("enum", ())) or "any"


def _what(field: Mapping[str, Any]) -> str:
    found = [field, *field.get("anyOf", ())]
    return next((one["description"] for one in found if "description" in one), "")


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_page_has_every_field_of_an_event_as_its_model_says(name: str) -> None:
    section = re.search(rf"^### {name}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert section is not None
    described = [row for row in section[1].splitlines() if row.startswith(("| `", "| **`"))]
    assert rows_of(SCHEMAS[name]) == described
