"""The typed model of a plugin's live configuration: its keys, and how values are checked. Pure.

A plugin subclasses `PluginConfiguration` with one field for each key. The field's type and its
`msgspec.Meta` (title, description, ge, le, pattern) are the only description of the key: checks,
JSON Schema, form and reference pages come from them.
"""

import math
import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Final, TypeVar, get_type_hints

import msgspec
from msgspec import Meta

from posstream.domain.errors import InvalidConfiguration
from posstream.domain.near_names import did_you_mean
from posstream.domain.payment_card import holds_payment_card, mask_payment_cards
from posstream.domain.printable import is_storable
from posstream.json.reading import MAX_WHOLE
from posstream.json.schema import schema_of
from posstream.json.wording import demand


class PluginConfiguration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of a plugin's live configuration, with the value of every key.

    - A key may have a check of its own: `Meta(extra={"check": function})`. The function takes a
      value of any type and gives the sentence of a refusal, or None.
    - A value may be a list of other structs. Give them `forbid_unknown_fields=True`.
    - Checks of keys together belong into `__post_init__`, which raises `InvalidConfiguration`.
    """

    enabled: Annotated[bool, Meta(title="Enabled", description="The switch of the plugin.")] = True
    #: 0 = the defaults, never edited.
    version: int = 0


C = TypeVar("C", bound=PluginConfiguration)
#: Fields of every model that are not keys of `config`.
_NO_KEYS: Final = frozenset(PluginConfiguration.__struct_fields__)
_UNKNOWN: Final = "is not a key of this configuration"
#: The end of msgspec's message, which names the wrong place in a value, or the wrong key.
_PLACE: Final = re.compile(r" - at `(?:key` in `)?\$(.*?)`$", re.DOTALL)
_UNKNOWN_KEY: Final = re.compile(r"Object contains unknown field `(.*)`$", re.DOTALL)
_MISSING_KEY: Final = re.compile(r"Object missing required field `(.*)`$", re.DOTALL)


def keys_of(model: type[PluginConfiguration]) -> tuple[str, ...]:
    """Every key of `config`, in the order of the model."""
    return tuple(name for name in model.__struct_fields__ if name not in _NO_KEYS)


def values_of(configuration: PluginConfiguration) -> dict[str, Any]:
    """The value of every key, as it is in JSON."""
    return {
        key: msgspec.to_builtins(getattr(configuration, key))
        for key in keys_of(type(configuration))
    }


def edited(configuration: C, config: Mapping[str, Any]) -> C:
    """A configuration with some keys changed.

    Raises:
        InvalidConfiguration: naming the first key that is unknown, mistyped or out of range.
    """
    values = {key: read_value(type(configuration), key, value) for key, value in config.items()}
    return msgspec.structs.replace(configuration, **values)


def merged(
    config: Mapping[str, Any], changes: object, model: type[PluginConfiguration]
) -> dict[str, Any]:
    """Merge an edit into the keys that are set.

    Args:
        config: the keys that are set, with their values.
        changes: key -> value, or None for its default; keys that are not named stay.
        model: checks the changes, each for itself.

    Raises:
        InvalidConfiguration: naming the first key that is unknown, mistyped or out of range.
    """
    if not isinstance(changes, Mapping):
        raise InvalidConfiguration("config", "must be an object")
    for key, value in changes.items():
        if value is not None or key not in keys_of(model):
            read_value(model, key, value)
    return {key: value for key, value in {**config, **changes}.items() if value is not None}


def read_value(model: type[PluginConfiguration], key: str, value: object) -> Any:
    """Convert a JSON value to the type that the model has for its key.

    Raises:
        InvalidConfiguration: naming the key, or the place in its value: `rules[2].limit`.
    """
    if key not in keys_of(model):
        near = did_you_mean(key, keys_of(model))
        raise InvalidConfiguration(mask_payment_cards(key), _UNKNOWN + near)
    hint = _hints(model)[key]
    check = _check_of(hint)
    why = None if check is None else check(value)
    if why is not None:
        raise InvalidConfiguration(key, why)
    try:
        read = msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        raise _refusal(model, key, error) from None
    _check_leaves(key, value)
    # A whole number stays one where any number may stand: 5 is shown as 5, not as 5.0.
    return value if isinstance(value, int) else read


def json_schema(defaults: PluginConfiguration, plugin: str) -> dict[str, Any]:
    """The keys of `config` as a JSON Schema (draft 2020-12) that forms are made from.

    Args:
        defaults: this worker's own, for `default`.
        plugin: its name.
    """
    schema = schema_of(type(defaults))
    structs = {"$defs": schema["$defs"]} if schema["$defs"] else {}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Live configuration of {plugin}",
        "type": "object",
        "properties": {
            key: {**schema["properties"][key], "default": value}
            for key, value in values_of(defaults).items()
        },
        "additionalProperties": False,
        **structs,
    }


@cache
def _hints(model: type[PluginConfiguration]) -> Mapping[str, Any]:
    return get_type_hints(model, include_extras=True)


def _check_of(hint: Any) -> Any:
    for meta in getattr(hint, "__metadata__", ()):
        if meta.extra is not None and "check" in meta.extra:
            return meta.extra["check"]
    return None


def _check_leaves(place: str, value: object) -> None:
    """Refuse a value if any part of it may not be in a topic, a table or a log."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            _check_leaves(place, key)
            _check_leaves(f"{place}.{key}", part)
    elif isinstance(value, list):
        for number, part in enumerate(value):
            _check_leaves(f"{place}[{number}]", part)
    elif isinstance(value, float) and not math.isfinite(value):
        raise InvalidConfiguration(place, "must be a number that JSON can hold")
    elif isinstance(value, int) and abs(value) > MAX_WHOLE:
        raise InvalidConfiguration(place, f"must be a number of at most {MAX_WHOLE}")
    elif isinstance(value, str) and not is_storable(value):
        raise InvalidConfiguration(place, "must be text that a database can hold")
    elif isinstance(value, int | str) and holds_payment_card(str(value)):
        raise InvalidConfiguration(place, "must hold no payment-card number")


def _refusal(
    model: type[PluginConfiguration], key: str, error: msgspec.ValidationError
) -> InvalidConfiguration:
    """Turn msgspec's error about a key's value into our sentence, which names the wrong place."""
    told, place = str(error), key
    found = _PLACE.search(told)
    if found:
        told, place = told[: found.start()], key + found[1]
    cause = error.__cause__
    if isinstance(cause, InvalidConfiguration):  # a check of several fields of a struct
        place, why = f"{place}.{cause.key}", cause.why
    elif unknown := _UNKNOWN_KEY.match(told):
        place, why = f"{place}.{unknown[1]}", _UNKNOWN
    elif missing := _MISSING_KEY.match(told):
        place, why = f"{place}.{missing[1]}", "is missing"
    elif cause is not None:
        why = told
    else:
        why = f"must be {demand(schema_of(model), place)}"
    return InvalidConfiguration(mask_payment_cards(place), why)
