"""Where a directory keeps the fields of a customer, when not under the contract's names. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from posstream.domain.customer import CUSTOMER_FIELDS

Path = tuple[str, ...]

#: Stands for a value that was moved, and for one that is missing.
_NOTHING: Final = object()
_LONGEST_INDEX: Final = 6
_FIELDS: Final = frozenset(CUSTOMER_FIELDS)


@dataclass(frozen=True, slots=True)
class MappedDocument:
    """A directory's answer, split into fields and extras; nothing of it is lost."""

    #: The contract's fields that the answer has.
    fields: Mapping[str, Any]
    #: Everything else, under the names that the directory gave it.
    extra: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ResponseMapping:
    """Maps each contract field to the path of its value; by default the field's own name."""

    paths: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "ResponseMapping":
        """Read `customer.id -> customer_id; phones.0.number -> phone`.

        The left side is the path in the directory's response: dots descend into objects, and a
        whole number is the index in an array.

        Raises:
            ValueError: naming the first wrong entry by its number; its text is not echoed.
        """
        paths: dict[str, Path] = {}
        for number, entry in enumerate(text.split(";"), start=1):
            if not entry.strip():
                continue
            source, arrow, target = (part.strip() for part in entry.partition("->"))
            path = tuple(step.strip() for step in source.split("."))
            if not arrow or not all(path) or not source.isprintable():
                raise ValueError(f"entry {number} must look like customer.id -> customer_id")
            if target not in CUSTOMER_FIELDS:
                known = ", ".join(CUSTOMER_FIELDS)
                raise ValueError(f"entry {number} must lead to one of {known}")
            if target in paths:
                raise ValueError(f"entry {number} fills {target} a second time")
            paths[target] = path
        if not paths:
            raise ValueError("must have an entry like customer.id -> customer_id")
        return cls(paths)

    def find(self, document: object, name: str) -> Any:
        """The value of one contract field; None if it is not there."""
        value = _at(document, self.paths.get(name, (name,)))
        return None if value is _NOTHING else value

    def is_empty(self, document: object) -> bool:
        """Whether a document, or a part of it on the way to `customer_id`, is null, [] or {}."""
        path = self.paths.get("customer_id", ("customer_id",))
        return any(_at(document, path[:steps]) in (None, [], {}) for steps in range(len(path)))

    def apply(self, document: Mapping[str, Any]) -> MappedDocument:
        """Move the values to their fields; the document itself is not changed.

        A field whose path leads nowhere stays out, even if the document has something else
        under the field's name: that is kept as an extra.
        """
        found = {name: _at(document, path) for name, path in self.paths.items()}
        moved = {name: value for name, value in found.items() if value is not _NOTHING}
        rest: Any = document
        for name in moved:
            rest = _without(rest, self.paths[name])
        if moved:
            rest = _pruned(rest)
        if rest is _NOTHING:
            rest = {}
        by_own_name = _FIELDS.difference(self.paths) if self.paths else _FIELDS
        return MappedDocument(
            fields={name: value for name, value in rest.items() if name in by_own_name} | moved,
            extra={name: value for name, value in rest.items() if name not in by_own_name},
        )


def _at(value: Any, path: Path) -> Any:
    for step in path:
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, list) and _is_index(step, value):
            value = value[int(step)]
        else:
            return _NOTHING
    return value


def _without(value: Any, path: Path) -> Any:
    """A copy with a hole at the path. Without the hole the rest of an array would move up."""
    if not path:
        return _NOTHING
    step, further = path[0], path[1:]
    if isinstance(value, Mapping) and step in value:
        return {**value, step: _without(value[step], further)}
    if isinstance(value, list) and _is_index(step, value):
        at = int(step)
        return [*value[:at], _without(value[at], further), *value[at + 1 :]]
    return value


def _pruned(value: Any) -> Any:
    """A copy without holes, and without objects and arrays that only the holes left empty."""
    kept: Any
    if isinstance(value, Mapping):
        pruned = {name: _pruned(item) for name, item in value.items()}
        kept = {name: item for name, item in pruned.items() if item is not _NOTHING}
    elif isinstance(value, list):
        kept = [item for item in map(_pruned, value) if item is not _NOTHING]
    else:
        return value
    return kept if kept or not value else _NOTHING


def _is_index(step: str, array: list[Any]) -> bool:
    return (
        len(step) <= _LONGEST_INDEX and step.isascii() and step.isdigit() and int(step) < len(array)
    )
