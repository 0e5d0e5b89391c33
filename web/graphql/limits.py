"""How much one document may ask for, counted before validation. Pure.

Fragments are weighed once each and then reused, so a document that doubles at every fragment
costs no more to weigh than to read. Cycles weigh nothing here: validation refuses them.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

MAX_TOKENS: Final = 2000
MAX_DEPTH: Final = 10
#: Through fragments in each operation, and as written in the whole document: validation compares
#: the fields of a selection in pairs, whether an operation uses them or not.
MAX_FIELDS: Final = 300
#: Fields in one operation that search, count or collect: each is a statement or more.
MAX_SEARCHES: Final = 20
#: The usual introspection query reaches 15.
MAX_INTROSPECTION_DEPTH: Final = 20
#: The usual introspection query reaches 2 (`fields` of types, no fields of their types). Each level
#: more multiplies the answer by the size of the schema (graphql-js: MaxIntrospectionDepthRule).
MAX_INTROSPECTION_LISTS: Final = 2

_INTROSPECTION: Final = frozenset({"__schema", "__type"})
_LISTS: Final = frozenset({"fields", "interfaces", "possibleTypes", "inputFields"})


@dataclass(frozen=True, slots=True)
class Weight:
    """Of a selection: deepest path, all fields and searches, most nested schema lists."""

    depth: int = 0
    fields: int = 0
    lists: int = 0
    searches: int = 0

    def beside(self, other: "Weight") -> "Weight":
        """Both selections together."""
        return Weight(
            max(self.depth, other.depth),
            self.fields + other.fields,
            max(self.lists, other.lists),
            self.searches + other.searches,
        )


def check_limits(document: DocumentNode, searches: Collection[str] = ()) -> None:
    """Refuse a document if one of its operations asks for too much.

    Args:
        document: not validated yet.
        searches: fields that search, count or collect.

    Raises:
        GraphQLError: naming the limit, with the code QUERY_TOO_COMPLEX.
    """
    scale = _Scale(document, searches)
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            weight = scale.weigh(definition.selection_set)
            if weight.depth > MAX_DEPTH:
                raise _too_complex(f"the query is deeper than {MAX_DEPTH} levels")
            if weight.fields > MAX_FIELDS:
                raise _too_complex(f"the query asks for more than {MAX_FIELDS} fields")
            if weight.searches > MAX_SEARCHES:
                raise _too_complex(f"the query searches more than {MAX_SEARCHES} times")
    scale.weigh_unused()
    if scale.written > MAX_FIELDS:
        raise _too_complex(f"the document has more than {MAX_FIELDS} fields")


class _Scale:
    def __init__(self, document: DocumentNode, searches: Collection[str]) -> None:
        self._searches = searches
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._known: dict[str, Weight] = {}
        self._open: set[str] = set()
        #: Fields seen so far, each once, however often a fragment is used.
        self.written = 0

    def weigh_unused(self) -> None:
        for name in self._fragments:
            self._fragment(name)

    def weigh(self, selections: SelectionSetNode | None) -> Weight:
        total = Weight()
        for node in selections.selections if selections is not None else ():
            if isinstance(node, FieldNode):
                total = total.beside(self._field(node))
            elif isinstance(node, InlineFragmentNode):
                total = total.beside(self.weigh(node.selection_set))
            elif isinstance(node, FragmentSpreadNode):
                total = total.beside(self._fragment(node.name.value))
        return total

    def _field(self, node: FieldNode) -> Weight:
        self.written += 1
        inside = self.weigh(node.selection_set)
        name = node.name.value
        if name in _INTROSPECTION:
            if inside.depth >= MAX_INTROSPECTION_DEPTH or inside.lists > MAX_INTROSPECTION_LISTS:
                raise _too_complex("the introspection goes too deep")
            return Weight(1, inside.fields + 1, 0)
        return Weight(
            inside.depth + 1,
            inside.fields + 1,
            inside.lists + (name in _LISTS),
            inside.searches + (name in self._searches),
        )

    def _fragment(self, name: str) -> Weight:
        if name in self._known:
            return self._known[name]
        fragment = self._fragments.get(name)
        if fragment is None or name in self._open:
            return Weight()
        self._open.add(name)
        self._known[name] = self.weigh(fragment.selection_set)
        self._open.discard(name)
        return self._known[name]


def _too_complex(message: str) -> GraphQLError:
    return GraphQLError(message, extensions={"code": "QUERY_TOO_COMPLEX"})
