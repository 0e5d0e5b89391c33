"""The form of a live configuration: what was typed, what that changes, and what is wrong.

Pure. The form is made from the JSON Schema of the plugin's model. An empty field is at its default.
A form also sends what each field showed first, so that an edit changes only the fields that were
touched, whatever others changed meanwhile.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from posstream.configuration.current import CurrentConfiguration
from posstream.configuration.model import PluginConfiguration, keys_of, merged, values_of
from posstream.configuration.version import ConfigurationChange, ConfigurationVersion
from posstream.domain.errors import InvalidConfiguration
from posstream.json.schema import schema_of
from posstream.json.wording import number
from web.console.numbers import read_whole, span

#: The switch of the plugin: a field like the others, though no key of `config`.
SWITCH: Final = "enabled"
_WAS: Final = "was."
_YES: Final = "yes"
_NO: Final = "no"
_NUMBER: Final = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,9})?")
#: Kinds that are typed as JSON.
DOCUMENTS: Final = frozenset({"array", "object"})


@dataclass(frozen=True, slots=True)
class Typed:
    """What a form holds: texts by field, those that it showed first, and its version."""

    texts: Mapping[str, str]
    was: Mapping[str, str]
    version: int
    description: str = ""
    #: Everything that was sent, for fields that the plugin adds.
    sent: Mapping[str, str] = field(default_factory=dict)

    def other(self, name: str) -> str:
        """The text of a field that the plugin adds."""
        return self.sent.get(name, "").strip()

    @property
    def touched(self) -> Sequence[str]:
        """The fields that do not hold what they showed first."""
        return [name for name, text in self.texts.items() if text != self.was[name]]

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

    def on(self, newest: ConfigurationVersion) -> ConfigurationVersion:
        """The version that it would make of the newest one."""
        config = {**newest.config, **self.config}
        return ConfigurationVersion(
            newest.version + 1,
            newest.enabled if self.enabled is None else self.enabled,
            {key: value for key, value in config.items() if value is not None},
        )


@dataclass(frozen=True, slots=True)
class Difference:
    """One field before and after, and what that means."""

    title: str
    old: str
    new: str
    effect: str


class Form:
    """The form of one plugin.

    Args:
        current: what is in force here, and this worker's defaults.
        effect: what a value of a field does, in a sentence.
    """

    def __init__(
        self, current: CurrentConfiguration[PluginConfiguration], effect: Callable[[str, Any], str]
    ) -> None:
        self._model = type(current.defaults)
        self._defaults = {SWITCH: True, **values_of(current.defaults)}
        self._current = current
        self._effect = effect
        #: The switch first, then the keys in the order of the model.
        self.names = (SWITCH, *keys_of(self._model))
        self._schema: Mapping[str, Mapping[str, Any]] = schema_of(self._model)["properties"]

    def of_version(self, version: ConfigurationVersion) -> Typed:
        """An untouched form."""
        texts = self._texts(version)
        return Typed(texts, texts, version.version)

    def of_post(self, post: Mapping[str, str]) -> Typed:
        """A form that was sent; missing fields are empty."""

        def text(name: str) -> str:
            # A browser sends the lines of a text area with the ends that HTTP has.
            return post.get(name, "").strip().replace("\r\n", "\n")

        return Typed(
            texts={name: text(name) for name in self.names},
            was={name: text(_WAS + name) for name in self.names},
            version=read_whole(text("expected_version")) or 0,
            description=text("description"),
            sent=post,
        )

    def rebased(self, typed: Typed, version: ConfigurationVersion) -> Typed:
        """The same edit on another version: what was not touched shows that one."""
        was = self._texts(version)
        touched = {name: typed.texts[name] for name in typed.touched}
        return Typed({**was, **touched}, was, version.version, typed.description, typed.sent)

    def read_edit(self, typed: Typed) -> Edit:
        """Read the fields that were touched; every wrong value has its error."""
        edit = Edit()
        enabled = None
        for name in typed.touched:
            try:
                value = self._value(name, typed.texts[name])
                if name == SWITCH:
                    # The form offers only yes and no; anything else counts as on, the default.
                    enabled = value is not False
                    continue
                merged({}, {name: value}, self._model)
                edit.config[name] = value
            except InvalidConfiguration as why:
                edit.errors.update(self.told(why.key, why.why))
        return Edit(edit.config, enabled, edit.errors)

    def told(self, key: str, why: str) -> dict[str, str]:
        """A refusal as the message at its field; empty if it is about no field.

        Args:
            key: of the refusal, which may be a place in a value: `rules[2].limit`.
            why: the sentence.
        """
        name = re.split(r"[.\[]", key, maxsplit=1)[0]
        if name not in {*self.names, "description"}:
            return {}
        return {name: why if key == name else f"{key} {why}"}

    def differences(self, old: ConfigurationVersion, new: ConfigurationVersion) -> list[Difference]:
        """The fields whose values differ between two versions."""
        found = []
        for name in self.names:
            before, after = (self._effective(name, version) for version in (old, new))
            if before != after:
                found.append(
                    Difference(
                        self._schema[name].get("title", name),
                        worded(name, before),
                        worded(name, after),
                        self._effect(name, after),
                    )
                )
        return found

    def fields(
        self,
        typed: Typed,
        errors: Mapping[str, str],
        newest: ConfigurationVersion,
        history: Sequence[ConfigurationChange],
    ) -> Sequence[Mapping[str, Any]]:
        """The fields as the page shows them, the switch first."""
        made = []
        for name in self.names:
            schema, default = self._schema[name], self._defaults[name]
            lowest: Any = schema.get("minimum")
            highest: Any = schema.get("maximum")
            made.append(
                {
                    "name": name,
                    "title": schema.get("title", name),
                    "description": schema.get("description", ""),
                    # boolean, integer, number, string, array or object.
                    "kind": schema.get("type", "object"),
                    # What a string is, such as `uri`; empty if the schema does not say.
                    "format": schema.get("format", ""),
                    "text": typed.texts[name],
                    "was": typed.was[name],
                    # As it would be typed, and in words.
                    "default": _text(default),
                    "default_worded": worded(name, default),
                    "effective": worded(name, self._effective(name, newest)),
                    "is_set": name in newest.config or (name == SWITCH and not newest.enabled),
                    "error": errors.get(name, ""),
                    # The version that last changed it, if the history reaches back to it.
                    "changed": _last_changed(name, history),
                    "bounds": ""
                    if None in (lowest, highest)
                    else f"{number(lowest)} to {number(highest)}",
                }
            )
        return made

    def changes_of(self, change: ConfigurationChange) -> list[Difference]:
        """What a version changed of what it replaced."""
        replaced = ConfigurationVersion(0, change.old_enabled, change.old_config)
        return self.differences(replaced, change.version)

    def editions(
        self, history: Sequence[ConfigurationChange], shown: int, outcomes: Mapping[int, Any]
    ) -> list[Mapping[str, Any]]:
        """The newest `shown` versions as the history shows them, each beside the one before.

        Args:
            history: newest first; one more than is shown, for the oldest one's before.
            shown: how many.
            outcomes: what each version led to, by `ConfigurationExtra.outcomes`.
        """
        versions = [*(change.version.version for change in history), 0]
        return [
            {
                "version": change.version,
                "changes": self.changes_of(change),
                "before": outcomes.get(versions[place + 1]),
                "after": outcomes.get(versions[place]),
            }
            for place, change in enumerate(history[:shown])
        ]

    def _effective(self, name: str, version: ConfigurationVersion) -> Any:
        """The value of a field that a version means on this worker."""
        if name == SWITCH:
            return version.enabled
        return version.config.get(name, self._defaults[name])

    def _texts(self, version: ConfigurationVersion) -> dict[str, str]:
        texts = {
            name: _text(version.config[name]) if name in version.config else ""
            for name in self.names
        }
        return texts | {SWITCH: _text(version.enabled)}

    def _value(self, name: str, text: str) -> Any:
        """The value that was typed; a text of another kind stays a text, which the check refuses.

        Raises:
            InvalidConfiguration: for what must be JSON and is not.
        """
        kind = self._schema[name].get("type", "object")
        if not text:
            return None
        if kind == "boolean":
            return {_YES: True, _NO: False}.get(text, text)
        if kind in {"integer", "number"} and _NUMBER.fullmatch(text):
            return float(text) if "." in text else int(text)
        if kind in DOCUMENTS:
            try:
                return json.loads(text)
            except (ValueError, RecursionError):
                raise InvalidConfiguration(name, "must be JSON") from None
        return text


def worded(key: str, value: Any) -> str:
    """A value in words."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return span(value) if key.endswith("_seconds") else str(value)


def _last_changed(name: str, history: Sequence[ConfigurationChange]) -> ConfigurationVersion | None:
    for change in history:
        old, new = change.old_config.get(name), change.version.config.get(name)
        if name == SWITCH:
            old, new = change.old_enabled, change.version.enabled
        if old != new:
            return change.version
    return None


def _text(value: Any) -> str:
    """A value as it is typed; None is a default that is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return _YES if value else _NO
    if isinstance(value, list | dict):
        return json.dumps(value, indent=2, ensure_ascii=False)
    return number(value) if isinstance(value, float) else str(value)
