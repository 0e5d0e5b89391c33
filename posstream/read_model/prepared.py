"""A SELECT that is compiled once for a database, with its values bound at each call."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Dialect, Select

_Processor = Callable[[Any], Any] | None


class Prepared:
    """A SELECT whose values are `bindparam`s; make it once, at import or in a cache.

    SQLAlchemy's own execution of a compiled statement costs ten times as much as what SQLite does
    for a row by its key.
    """

    def __init__(self, statement: Select[Any]) -> None:
        #: For an ordinary connection of SQLAlchemy.
        self.statement: Final = statement
        self._compiled: dict[int, Compiled] = {}

    def on(self, dialect: Dialect) -> "Compiled":
        """The statement as a driver with positional parameters takes it."""
        known = self._compiled.get(id(dialect))
        if known is None or known.dialect is not dialect:
            known = self._compiled[id(dialect)] = Compiled(self.statement, dialect)
        return known


class Compiled:
    """The text of a statement, and how its values and its rows are written and read."""

    def __init__(self, statement: Select[Any], dialect: Dialect) -> None:
        self.dialect: Final = dialect
        compiled: Any = statement.compile(dialect=dialect)
        self.text: Final[str] = compiled.string
        self._binds: Final[list[tuple[str, Any, _Processor]]] = [
            (name, bind.value, bind.type.dialect_impl(dialect).bind_processor(dialect))
            for name in compiled.positiontup
            for bind in (compiled.binds[name],)
        ]
        processors = [
            column.type.dialect_impl(dialect).result_processor(dialect, None)
            for column in statement.selected_columns
        ]
        self._processors: Final = [
            (place, process) for place, process in enumerate(processors) if process is not None
        ]

    def values(self, given: dict[str, Any]) -> Sequence[Any]:
        """The parameters in their order; what is not given has the value of the statement."""
        values = []
        for name, own, process in self._binds:
            value = given.get(name, own)
            values.append(value if process is None else process(value))
        return values

    def rows(self, found: Iterable[Sequence[Any]]) -> list[Sequence[Any]]:
        """The rows as Python values."""
        processors = self._processors
        if not processors:
            return list(found)
        rows: list[Sequence[Any]] = []
        for one in found:
            row = list(one)
            for place, process in processors:
                if row[place] is not None:
                    row[place] = process(row[place])
            rows.append(row)
        return rows
