"""A SELECT that is compiled once for a database, with its values bound at each call."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
        """The statement as the driver takes it."""
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
            for name in compiled.positiontup or compiled.binds
            for bind in (compiled.binds[name],)
        ]
        self._columns: Final = list(statement.selected_columns)
        self._processors: list[tuple[int, Callable[[Any], Any]]] | None = None

    def in_order(self, given: Mapping[str, Any]) -> list[Any]:
        """The parameters in their order; what is not given has the value of the statement."""
        return list(self._values(given))

    def by_name(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters by their names."""
        names = (name for name, _, _ in self._binds)
        return dict(zip(names, self._values(given), strict=True))

    def _values(self, given: Mapping[str, Any]) -> Iterator[Any]:
        for name, own, process in self._binds:
            value = given.get(name, own)
            yield value if process is None else process(value)

    def rows(
        self, found: Iterable[Sequence[Any]], types: Sequence[Any] | None = None
    ) -> list[Sequence[Any]]:
        """The rows as Python values.

        Args:
            found: as the driver gives them.
            types: of their columns, as the driver names them; the same at every call.
        """
        if self._processors is None:
            self._processors = self._made(types or [None] * len(self._columns))
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

    def _made(self, types: Sequence[Any]) -> list[tuple[int, Callable[[Any], Any]]]:
        made = [
            column.type.dialect_impl(self.dialect).result_processor(self.dialect, kind)
            for column, kind in zip(self._columns, types, strict=True)
        ]
        return [(place, process) for place, process in enumerate(made) if process is not None]
