"""The form of the live configuration: what was typed, what that changes, and what is wrong.

Pure. A field that is empty is at its default. What a field showed before is sent along, so that
only what somebody touched is changed, whatever others changed meanwhile.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from agents.customer_lookup.configuration import KEYS, TEXTS, PluginConfiguration, json_schema
from agents.customer_lookup.pages.configuration_effects import effect, worded
from posstream.configuration.current import CurrentConfiguration, merged
from posstream.configuration.version import ConfigurationChange, ConfigurationVersion
from posstream.domain.errors import InvalidConfiguration

#: The switch of the plugin: a field like the others, though no key of the schema.
SWITCH: Final = "enabled"
FIELDS: Final = (SWITCH, *KEYS)
_SWITCH_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Customer lookup",
    "description": "Off: every scan is answered DISABLED, without a call.",
    "type": "boolean",
    "default": True,
}
_WAS: Final = "was."
_YES: Final = "yes"
_NO: Final = "no"
_NUMBER: Final = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,9})?")
_MAX_DIGITS: Final = 10


@dataclass(frozen=True, slots=True)
class Typed:
    """What a form holds: texts by field, those that it showed first, and its version."""

    texts: Mapping[str, str]
    was: Mapping[str, str]
    version: int
    description: str = ""
    #: To try the endpoint with.
    identifier: str = ""

    @classmethod
    def of_version(cls, version: ConfigurationVersion) -> "Typed":
        """An untouched form."""
        texts = _texts(version)
        return cls(texts, texts, version.version)

    @classmethod
    def of_post(cls, post: Mapping[str, Any]) -> "Typed":
        """A form that was sent; what it lacks is empty."""

        def text(name: str) -> str:
            value = post.get(name, "")
            return value.strip() if isinstance(value, str) else ""

        version = text("expected_version")
        return cls(
            texts={name: text(name) for name in FIELDS},
            was={name: text(_WAS + name) for name in FIELDS},
            version=int(version)
            if version.isascii() and version.isdigit() and len(version) <= _MAX_DIGITS
            else 0,
            description=text("description"),
            identifier=text("identifier"),
        )

    @property
    def touched(self) -> Sequence[str]:
        """The fields that do not hold what they showed first."""
        return [name for name in FIELDS if self.texts[name] != self.was[name]]

    def rebased(self, version: ConfigurationVersion) -> "Typed":
        """The same edit on another version: what was not touched shows that one."""
        was = _texts(version)
        touched = {name: self.texts[name] for name in self.touched}
        return Typed({**was, **touched}, was, version.version, self.description, self.identifier)

    @property
    def hidden(self) -> Sequence[tuple[str, str]]:
        """Everything, for a form that only confirms."""
        return [
            *self.texts.items(),
            *((_WAS + name, text) for name, text in self.was.items()),
            ("expected_version", str(self.version)),
            ("description", self.description),
        ]


@dataclass(frozen=True, slots=True)
class Edit:
    """What an edit would set, and what is wrong with it by field."""

    #: Key -> value, or None for its default.
    config: dict[str, Any] = field(default_factory=dict)
    #: The switch, if it was touched.
    enabled: bool | None = None
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether it changes nothing."""
        return not self.config and self.enabled is None


def read_edit(typed: Typed) -> Edit:
    """The values of the fields that were touched; all wrong ones are told."""
    edit = Edit()
    enabled = None
    for name in typed.touched:
        value = _value(name, typed.texts[name])
        if name == SWITCH:
            # Only yes and no are offered; anything else is as good as on, its default.
            enabled = value is not False
            continue
        try:
            if value is not None:
                merged({}, {name: value}, PluginConfiguration(api_endpoint=""))
            edit.config[name] = value
        except InvalidConfiguration as why:
            edit.errors[name] = why.why
    return Edit(edit.config, enabled, edit.errors)


@dataclass(frozen=True, slots=True)
class Difference:
    """One field before and after, and what that means."""

    key: str
    title: str
    old: str
    new: str
    effect: str


def differences(
    old: ConfigurationVersion, new: ConfigurationVersion, current: CurrentConfiguration
) -> list[Difference]:
    """What one version means otherwise than another, field by field."""
    found = []
    for name in FIELDS:
        before, after = (effective(name, version, current) for version in (old, new))
        if before != after:
            title = schema_of(name, current)["title"]
            found.append(
                Difference(
                    name, title, worded(name, before), worded(name, after), effect(name, after)
                )
            )
    return found


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the form as the page shows it."""

    name: str
    title: str
    description: str
    #: boolean, integer, number or string.
    kind: str
    text: str
    was: str
    #: The default as it would be typed and in words, and the newest version's value in words.
    default: str
    default_worded: str
    effective: str
    is_set: bool
    error: str
    #: The version that last changed it, if the history reaches back to it.
    changed: ConfigurationVersion | None
    bounds: str


def fields(
    typed: Typed,
    errors: Mapping[str, str],
    newest: ConfigurationVersion,
    history: Sequence[ConfigurationChange],
    current: CurrentConfiguration,
) -> list[Field]:
    """The fields in the order of the contract, the switch first."""
    made = []
    for name in FIELDS:
        schema = schema_of(name, current)
        lowest, highest = schema.get("minimum"), schema.get("maximum")
        made.append(
            Field(
                name=name,
                title=schema["title"],
                description=schema["description"],
                kind=schema["type"],
                text=typed.texts[name],
                was=typed.was[name],
                default=_text(schema["default"]),
                default_worded=worded(name, schema["default"]),
                effective=worded(name, effective(name, newest, current)),
                is_set=name in newest.config or (name == SWITCH and not newest.enabled),
                error=errors.get(name, ""),
                changed=_last_changed(name, history),
                bounds="" if lowest is None else f"{_text(lowest)} to {_text(highest)}",
            )
        )
    return made


def schema_of(name: str, current: CurrentConfiguration) -> Mapping[str, Any]:
    """The JSON Schema of one field."""
    if name == SWITCH:
        return _SWITCH_SCHEMA
    known: Mapping[str, Any] = json_schema(current.defaults)["properties"][name]
    return known


def effective(name: str, version: ConfigurationVersion, current: CurrentConfiguration) -> Any:
    """The value of a field that a version means on this worker."""
    if name == SWITCH:
        return version.enabled
    return version.config.get(name, getattr(current.defaults, name))


def _last_changed(name: str, history: Sequence[ConfigurationChange]) -> ConfigurationVersion | None:
    for change in history:
        old, new = change.old_config.get(name), change.version.config.get(name)
        if name == SWITCH:
            old, new = change.old_enabled, change.version.enabled
        if old != new:
            return change.version
    return None


def _texts(version: ConfigurationVersion) -> dict[str, str]:
    texts = {name: _text(version.config[name]) if name in version.config else "" for name in KEYS}
    return {SWITCH: _text(version.enabled), **texts}


def _text(value: Any) -> str:
    """A value as it is typed; None is a default that is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return _YES if value else _NO
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _value(name: str, text: str) -> Any:
    """What was typed as a value; what is none stays a text, for the check to refuse."""
    if not text:
        return None
    if name in {SWITCH, "fallback_to_cache_on_error"}:
        return {_YES: True, _NO: False}.get(text, text)
    if name not in TEXTS and _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    return text
