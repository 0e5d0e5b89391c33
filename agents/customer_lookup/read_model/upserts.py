"""The upserts of the read model: repeats and older events change nothing."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, case, or_

from posstream.read_model.engine import Insert

_Columns = Any  # a table's columns, stored or excluded


def upsert_customers(insert: Insert) -> Insert:
    """The customer that was fetched last wins."""
    return _upsert_last(insert, "customer_id", tie="identifier", earliest="created_at")


def upsert_identifiers(insert: Insert) -> Insert:
    """The customer that an identifier led to last wins."""
    return _upsert_last(insert, "identifier", tie="customer_id", earliest="first_seen_at")


def _upsert_last(insert: Insert, key: str, *, tie: str, earliest: str) -> Insert:
    """The newest `fetched_at` wins (at a tie the greater `tie`); `earliest` only goes back."""
    new, old = insert.excluded, _table(insert).c
    newer = or_(
        new.fetched_at > old.fetched_at,
        and_(new.fetched_at == old.fetched_at, new[tie] > old[tie]),
    )
    earlier = new[earliest] < old[earliest]
    changes = {
        name: _either(newer, new, old, name)
        for name in written_columns(_table(insert))
        if name not in {key, earliest}
    }
    changes[earliest] = _either(earlier, new, old, earliest)
    return insert.on_conflict_do_update(
        index_elements=[key], set_=changes, where=or_(newer, earlier)
    )


def upsert_baskets(insert: Insert) -> Insert:
    """The earliest start and the last identification win, each for its own columns.

    One statement for both: with two, workers could lock each other's baskets crosswise.
    """
    new, old = insert.excluded, _table(insert).c
    started = and_(
        new.employee_id.is_not(None),
        or_(
            old.employee_id.is_(None),
            and_(
                new.started_at.is_not(None),
                or_(old.started_at.is_(None), new.started_at < old.started_at),
            ),
            and_(
                new.started_at.is_not_distinct_from(old.started_at),
                or_(
                    new.employee_id < old.employee_id,
                    and_(new.employee_id == old.employee_id, new.terminal_id < old.terminal_id),
                ),
            ),
        ),
    )
    identified = and_(
        new.identified_at.is_not(None),
        or_(
            old.identified_at.is_(None),
            new.identified_at > old.identified_at,
            and_(
                new.identified_at == old.identified_at,
                or_(
                    new.identified_by > old.identified_by,
                    and_(
                        new.identified_by == old.identified_by,
                        new.customer_id > old.customer_id,
                    ),
                ),
            ),
        ),
    )
    changes = {
        name: _either(started, new, old, name)
        for name in ("employee_id", "terminal_id", "started_at")
    } | {
        name: _either(identified, new, old, name)
        for name in ("customer_id", "identified_at", "identified_by")
    }
    return insert.on_conflict_do_update(
        index_elements=["basket_id"], set_=changes, where=or_(started, identified)
    )


def _upsert_first(
    insert: Insert, better: Callable[[_Columns, _Columns], ColumnElement[bool]]
) -> Insert:
    """One row per event; a repeat of it, written after a crash, replaces it only if better."""
    new = insert.excluded
    return insert.on_conflict_do_update(
        index_elements=["event_id"],
        set_={name: new[name] for name in written_columns(_table(insert)) if name != "event_id"},
        where=better(new, _table(insert).c),
    )


def upsert_answers(insert: Insert) -> Insert:
    """One row for each answer; a customer wins over a failure."""
    return _upsert_first(insert, _better_answer)


def upsert_logs(insert: Insert) -> Insert:
    """One row for each attempt; of repeats the first wins."""
    return _upsert_first(insert, lambda new, old: new.request_timestamp < old.request_timestamp)


def _better_answer(new: _Columns, old: _Columns) -> ColumnElement[bool]:
    # A customer beats a failure, as it does in the basket; else the first one counts.
    return or_(
        and_(new.reason.is_(None), old.reason.is_not(None)),
        and_(
            or_(new.reason.is_(None), old.reason.is_not(None)),
            new.occurred_at < old.occurred_at,
        ),
    )


def _either(
    wins: ColumnElement[bool], new: _Columns, old: _Columns, name: str
) -> ColumnElement[Any]:
    return case((wins, new[name]), else_=old[name])


def written_columns(table: Table) -> list[str]:
    """The columns that are written: all but a serial number."""
    return [column.name for column in table.columns if column.name != "id"]


def _table(insert: Insert) -> Table:
    table = insert.table
    if not isinstance(table, Table):
        raise TypeError("only tables are written")
    return table
