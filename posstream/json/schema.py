"""Makes a JSON Schema of a typed model. Pure."""

from functools import cache

import msgspec

from posstream.json.wording import REFERENCE, Schema, without_null


@cache
def schema_of(model: type[msgspec.Struct]) -> Schema:
    """A model as a JSON Schema (draft 2020-12); `$defs` has the structs inside it."""
    _, parts = msgspec.json.schema_components((model,), ref_template=REFERENCE + "{name}")
    own = parts.pop(model.__name__)
    properties = {key: without_null(known) for key, known in own["properties"].items()}
    return {**own, "properties": properties, "$defs": parts}
