"""What all lists of the console share: filter, order, pages, total and file; the URL has it all."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, Protocol, TypeVar

from aiohttp import web
from graphql import GraphQLError

from posstream.domain.errors import ReadModelBusy
from web.access.guard import caller_of
from web.access.reveals import Reveals
from web.console.csv_file import Columns, csv_file
from web.console.pages import with_query
from web.console.typed_fields import TypedFields
from web.graphql import connections
from web.graphql.context import GraphQLContext

Row = TypeVar("Row")
Row_co = TypeVar("Row_co", covariant=True)

#: Rows of a page.
PAGE_ROWS: Final = 50
#: Rows are counted up to this number, unless a list says otherwise.
MOST_COUNTED: Final = 10_000
#: Rows of a file; a narrower filter gets at the rest.
MAX_FILE_ROWS: Final = 50_000
#: Rows that are read for a file at a time.
_BATCH: Final = 1_000
#: Characters of an unknown word that an error repeats.
_MOST_SHOWN: Final = 40
#: Parameters of a list's URL beside its fields.
_BESIDE: Final = ("after", "before", "sort", "reveal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A way to sort a list, and the words for its pages."""

    #: In the URL.
    word: str
    title: str
    #: The page at the beginning, the page before, and the next one.
    first: str
    back: str
    on: str
    #: Said after the last row.
    end: str
    #: Smallest first.
    rising: bool


#: The orders of a list of what happened; the first one is used unless the URL says otherwise.
BY_TIME: Final = (
    Order(
        word="newest",
        title="Newest first",
        first="Newest",
        back="Newer",
        on="Older",
        end="This is the oldest.",
        rising=False,
    ),
    Order(
        word="oldest",
        title="Oldest first",
        first="Oldest",
        back="Older",
        on="Newer",
        end="This is the newest.",
        rising=True,
    ),
)


class AskedList(TypedFields):
    """A list as somebody asked for it.

    Args:
        request: of its page or file.
        fields: of the filter.
        orders: that the list has.
        beside: other parameters that its links keep.
        told: parameters that say what was just done; its links leave them out.
    """

    def __init__(
        self,
        request: web.Request,
        fields: Sequence[str],
        orders: Sequence[Order] = BY_TIME,
        *,
        beside: Sequence[str] = (),
        told: Sequence[str] = (),
    ) -> None:
        query = request.query
        super().__init__({name: query.get(name, "").strip() for name in fields})
        self.orders = orders
        self.told = told
        #: Why the rest of the URL cannot be used: a sentence each.
        self.refused: list[str] = []
        for name, count in Counter(name for name, _ in query.items()).items():
            if name not in {*fields, *beside, *told, *_BESIDE}:
                shown = name[:_MOST_SHOWN]
                self.refused.append(f"There is no filter “{shown}”; there are {', '.join(fields)}.")
            elif count > 1:
                self.refused.append(f"“{name}” is given {count} times; give it once.")
        by_word = {order.word: order for order in orders}
        sort = query.get("sort") or orders[0].word
        self.order = by_word.get(sort, orders[0])
        if sort not in by_word:
            self.refused.append(
                f"There is no order “{sort[:_MOST_SHOWN]}”; there are {', '.join(by_word)}."
            )

    @property
    def is_refused(self) -> bool:
        """Whether anything in the URL cannot be used: then nothing is searched."""
        return bool(self.errors or self.refused)


def may_ask(
    request: web.Request, context: GraphQLContext, where: str, tries: Iterable[bool]
) -> bool:
    """Whether the caller may try so many more identifiers.

    Args:
        request: of the list.
        context: counts.
        where: the page or file, for the log.
        tries: of each part of the URL, whether it tries an identifier.
    """
    caller = caller_of(request)
    return all(context.budget.allows_page(caller, where) for one in tries if one)


class Reads(Protocol[Row_co]):
    """Reads rows of a list."""

    async def __call__(self, *, first: int, after: Any, rising: bool) -> Sequence[Row_co]:
        """At most `first` rows after a place (None: from the beginning), smallest first or last."""


class Counts(Protocol):
    """Counts the rows of a list."""

    async def __call__(self, *, most: int) -> int:
        """How many there are, at most `most`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed(Generic[Row]):
    """Where a list comes from."""

    read: Reads[Row]
    count: Counts
    #: The place of a row as the URL has it, and back; None if a text is no place of this list.
    cursor: Callable[[Row], str]
    place: Callable[[str], Any]
    #: Rows are counted up to this number: a longer list costs no more.
    most_counted: int = MOST_COUNTED


def by_time(
    name: str,
    place_of: Callable[[Row], tuple[datetime, str]],
    *,
    read: Reads[Row],
    count: Counts,
) -> Listed[Row]:
    """A list that is ordered by a time and a key.

    Args:
        name: of the list, in its cursors.
        place_of: the time and the key of a row.
        read: as of `Listed`.
        count: as of `Listed`.
    """

    def place(cursor: str) -> tuple[datetime, str] | None:
        try:
            return connections.read_place(name, cursor)
        except GraphQLError:
            return None

    return Listed(
        read=read,
        count=count,
        cursor=lambda row: connections.place_cursor(name, *place_of(row)),
        place=place,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage(Generic[Row]):
    """One page of a list, and the addresses around it; None: there is no such page."""

    path: str
    asked: AskedList
    rows: Sequence[Row] = ()
    #: How many rows the whole list has, in words.
    total: str = ""
    #: The page at the beginning; None on that page.
    first: str | None = None
    back: str | None = None
    on: str | None = None
    #: The same list in its other orders.
    sorts: Sequence[tuple[Order, str]] = ()
    #: The same list with identifiers in full, or masked again; empty if it shows none.
    reveal: str = ""
    file: str = ""
    most: int = MAX_FILE_ROWS

    @property
    def status(self) -> int:
        """The HTTP status of the page."""
        return 400 if self.asked.is_refused else 200


async def list_page(
    request: web.Request,
    path: str,
    asked: AskedList,
    listed: Listed[Row],
    reveals: Reveals | None,
) -> ListPage[Row]:
    """The page that a URL asks for; empty if the URL is refused.

    Args:
        request: with the place in its query: `after` one row, or `before` one.
        path: of the list.
        asked: its filter.
        listed: its rows.
        reveals: what identifiers are shown with; None if the list shows none.
    """
    if asked.is_refused:
        return ListPage(path=path, asked=asked)
    rows, back, on = await _rows(request.query, asked.order, listed)
    is_whole = back is None and on is None and "after" not in request.query
    total = f"{len(rows):,}" if is_whole else await _total(listed)
    untold: dict[str, str | None] = dict.fromkeys(asked.told)
    unplaced: dict[str, str | None] = {"after": None, "before": None}

    def at(changes: dict[str, str | None], where: str = path) -> str:
        return with_query(request, where, **untold | unplaced | changes)

    default = asked.orders[0]
    return ListPage(
        path=path,
        asked=asked,
        rows=rows,
        total=total,
        first=at({}) if unplaced.keys() & request.query.keys() else None,
        back=back and at({"before": back}),
        on=on and at({"after": on}),
        sorts=[
            (order, at({"sort": None if order is default else order.word}))
            for order in asked.orders
            if order is not asked.order
        ],
        reveal=(
            with_query(request, path, **untold, reveal=None if reveals.in_full else "1")
            if reveals
            else ""
        ),
        file=at({}, f"{path}.csv"),
    )


async def _total(listed: Listed[Row]) -> str:
    """How many rows there are, in words; "very many" if counting takes too long."""
    most = listed.most_counted
    try:
        total = await listed.count(most=most + 1)
    except ReadModelBusy:
        return "very many"
    return f"more than {most:,}" if total > most else f"{total:,}"


async def list_file(
    request: web.Request,
    asked: AskedList,
    listed: Listed[Row],
    columns: Columns[Row],
    reveals: Reveals,
) -> web.StreamResponse:
    """The list as a file of at most `MAX_FILE_ROWS` rows, named as the path of the request.

    Args:
        request: of the file.
        asked: what it has, which is not refused.
        listed: the rows.
        columns: of the file.
        reveals: what identifiers are shown with.
    """
    name = request.path.rpartition("/")[2]
    batches = _batches(listed, rising=asked.order.rising)
    return await csv_file(request, name, columns, batches, reveals)


async def _rows(
    query: Mapping[str, str], order: Order, listed: Listed[Row]
) -> tuple[Sequence[Row], str | None, str | None]:
    """The rows of a page, and the places of its neighbours.

    A broken place, or too few rows before it, is the first page.
    """
    beyond = PAGE_ROWS + 1  # says whether there are more
    before, after = (listed.place(query[it]) if it in query else None for it in ("before", "after"))
    if before is not None:
        rows = await listed.read(first=beyond, after=before, rising=not order.rising)
        if len(rows) >= PAGE_ROWS:
            shown = rows[PAGE_ROWS - 1 :: -1]
            more = len(rows) > PAGE_ROWS
            return shown, listed.cursor(shown[0]) if more else None, listed.cursor(shown[-1])
    rows = await listed.read(first=beyond, after=after, rising=order.rising)
    shown = rows[:PAGE_ROWS]
    more = len(rows) > PAGE_ROWS
    return (
        shown,
        listed.cursor(shown[0]) if after is not None and shown else None,
        listed.cursor(shown[-1]) if more else None,
    )


async def _batches(listed: Listed[Row], *, rising: bool) -> AsyncIterator[Sequence[Row]]:
    place: Any = None
    for _ in range(0, MAX_FILE_ROWS, _BATCH):
        rows = await listed.read(first=_BATCH, after=place, rising=rising)
        yield rows
        if len(rows) < _BATCH:
            return
        place = listed.place(listed.cursor(rows[-1]))
