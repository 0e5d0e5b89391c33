"""Says in words what a JSON Schema demands, for refusals of events and configuration. Pure."""

import re
from collections.abc import Mapping
from typing import Any, Final

#: A JSON Schema.
Schema = Mapping[str, Any]

REFERENCE: Final = "#/$defs/"


_STEP: Final = re.compile(r"\[[0-9]*\]|\[\.\.\.\]|[^.\[]+")


def demand(schema: Schema, place: str) -> str:
    """What a value must be at a place, such as `rules[2].limit`: "a number from 0 to 9"."""
    known: Schema = schema
    for step in _STEP.findall(place):
        known = _resolved(schema, known)
        if step.startswith("["):
            known = known.get("items") or known.get("additionalProperties") or {}
        else:
            known = known.get("properties", {}).get(step, {})
    return _words(_resolved(schema, known))


def without_null(known: Schema) -> Schema:
    """A key whose value may be null without that: null in an edit is the default of any key."""
    kinds = [kind for kind in known.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return known
    return {**kinds[0], **{name: value for name, value in known.items() if name != "anyOf"}}


def _resolved(schema: Schema, known: Schema) -> Schema:
    reference = known.get("$ref")
    if reference is None:
        return known
    found: Schema = schema["$defs"][reference.removeprefix(REFERENCE)]
    return found


def _words(known: Schema) -> str:
    if "enum" in known:
        return "one of " + ", ".join(str(value) for value in known["enum"])
    if "anyOf" in known:
        return " or ".join(_words(kind) for kind in known["anyOf"])
    kind = known.get("type")
    if kind in {"integer", "number"}:
        return ("a whole number" if kind == "integer" else "a number") + _bounds(
            known.get("minimum"), known.get("maximum")
        )
    if kind == "string":
        return (
            "text"
            + (f" like {known['pattern']}" if "pattern" in known else "")
            + _bounds(known.get("minLength"), known.get("maxLength"), " characters")
        )
    if kind == "array":
        return "a list" + _bounds(known.get("minItems"), known.get("maxItems"), " items")
    return {"boolean": "true or false", "null": "null"}.get(str(kind), "an object")


def _bounds(lowest: float | None, highest: float | None, unit: str = "") -> str:
    if lowest is None and highest is None:
        return ""
    if highest is None:
        return f" of at least {number(lowest or 0)}{unit}"
    if lowest is None:
        return f" of at most {number(highest)}{unit}"
    return f" {'of' if unit else 'from'} {number(lowest)} to {number(highest)}{unit}"


def number(value: float) -> str:
    """A number as people write it: 5 for 5.0."""
    return str(int(value)) if float(value).is_integer() else f"{value:g}"
