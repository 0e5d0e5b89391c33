"""How much one operation may answer: rows and fields, counted before it is executed. Pure.

Lists that take `first` or `limit` multiply whatever is asked for inside them, and lists within
lists multiply again. The product is known from the document and its variables alone.
"""

from collections.abc import Mapping
from typing import Any, Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
)

#: Rows and fields in one answer; 1,000 customers with all their fields are 13,001. Such an answer
#: takes some tenths of a second of the event loop, which tills share.
MAX_VALUES: Final = 15_000
#: No list gives more rows, whatever is asked for: a resolver refuses that.
_MAX_ROWS: Final = 1000
_SIZES: Final = ("first", "limit")


def check_answer_size(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any],
) -> None:
    """Refuse an operation, valid by the schema, whose answer could have too many fields.

    Raises:
        GraphQLError: with the code QUERY_TOO_COMPLEX.
    """
    root = schema.get_root_type(operation.operation)
    size = _Size(schema, document, operation, variables)
    if size.of(operation.selection_set, root) > MAX_VALUES:
        raise GraphQLError(
            f"the answer could have more than {MAX_VALUES} values: ask for shorter lists",
            extensions={"code": "QUERY_TOO_COMPLEX"},
        )


class _Size:
    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
    ) -> None:
        self._schema = schema
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._defaults: dict[str, ValueNode | None] = {
            definition.variable.name.value: definition.default_value
            for definition in operation.variable_definitions
        }
        self._variables = variables
        self._known: dict[str, int] = {}

    def of(self, selections: SelectionSetNode | None, parent: GraphQLNamedType | None) -> int:
        total = 0
        for node in selections.selections if selections is not None else ():
            if isinstance(node, FieldNode):
                total += self._field(node, parent)
            elif isinstance(node, InlineFragmentNode):
                condition = node.type_condition
                inside = parent if condition is None else self._type(condition.name.value)
                total += self.of(node.selection_set, inside)
            elif isinstance(node, FragmentSpreadNode):
                total += self._fragment(node.name.value)
        return total

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None) -> int:
        fields = parent.fields if isinstance(parent, GraphQLObjectType) else {}
        field = fields.get(node.name.value)
        # Introspection is not among the type's fields, and has a limit of its own.
        if field is None:
            return 1
        inside = self.of(node.selection_set, get_named_type(field.type))
        rows = self._rows(node, field)
        # A row costs as much as a field or two.
        return 1 + inside if rows is None else 1 + rows * (1 + inside)

    def _fragment(self, name: str) -> int:
        if name not in self._known:
            fragment = self._fragments[name]
            inside = self._type(fragment.type_condition.name.value)
            self._known[name] = self.of(fragment.selection_set, inside)
        return self._known[name]

    def _type(self, name: str) -> GraphQLNamedType | None:
        return self._schema.get_type(name)

    def _rows(self, node: FieldNode, field: GraphQLField) -> int | None:
        """The rows that a list may have; None for a field that takes no size."""
        for name in _SIZES:
            if name in field.args:
                given = next((one.value for one in node.arguments if one.name.value == name), None)
                rows = self._number(given)
                rows = field.args[name].default_value if rows is None else rows
                return max(1, min(rows, _MAX_ROWS)) if isinstance(rows, int) else _MAX_ROWS
        return None

    def _number(self, given: ValueNode | None) -> int | None:
        """The number that was given, or None for the default."""
        if isinstance(given, VariableNode):
            name = given.name.value
            value = self._variables.get(name)
            if isinstance(value, int | float):
                return int(min(value, _MAX_ROWS))
            return self._number(self._defaults.get(name))
        return int(given.value) if isinstance(given, IntValueNode) else None
