"""Takes the names of forgotten customers out of the rows, and finds rows by a customer's names."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, and_, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from agents.fraud_detection.read_model.rows import Kind, kept, name_rows, of_customer, stored_alert
from agents.fraud_detection.read_model.schema import (
    FRAUD_ALERT_NAMES,
    FRAUD_ALERTS,
    FRAUD_VERDICTS,
)
from agents.fraud_detection.read_model.verdicts import forget_notes
from posstream.forgetting.forgotten import meant_names
from posstream.forgetting.marks import CUSTOMER_PREFIX, IDENTIFIER_PREFIX, Marks, Trail
from posstream.read_model.engine import read_only
from posstream.read_model.named_rows import as_json, delete_rows, rows_named, update_rows

_ALERTS = FRAUD_ALERTS.c
_NAMES = FRAUD_ALERT_NAMES.c
_VERDICTS = FRAUD_VERDICTS.c
_CHANGED = ("document", "customer_id", "forgotten_at")


async def erase_names(connection: AsyncConnection, marks: Marks) -> None:
    """Take out what is from before the marks."""
    meant = [
        *await meant_names(connection, IDENTIFIER_PREFIX, [_NAMES.name], marks),
        *await meant_names(connection, CUSTOMER_PREFIX, [_NAMES.name], marks),
    ]
    naming = await rows_named(connection, (_NAMES.alert_id,), (_NAMES.name, meant))
    found = await rows_named(
        connection,
        (_ALERTS.alert_id, _ALERTS.document, _ALERTS.forgotten_at),
        (_ALERTS.alert_id, [row["alert_id"] for row in naming]),
    )
    changed, names = [], []
    for row in sorted(found, key=lambda row: str(row["alert_id"])):
        left = kept(stored_alert(row["document"]), marks)
        if left.forgotten_at is None:
            continue
        before = row["forgotten_at"]
        changed.append(
            {
                "of": row["alert_id"],
                "document": msgspec.to_builtins(left.alert),
                "customer_id": left.alert.customer_id,
                "forgotten_at": left.forgotten_at
                if before is None
                else max(before, left.forgotten_at),
            }
        )
        names += name_rows(left.alert)
    ids = [row["of"] for row in changed]
    await update_rows(connection, _ALERTS.alert_id, _CHANGED, changed)
    await delete_rows(connection, _NAMES.alert_id, ids)
    if names:
        await connection.execute(insert(FRAUD_ALERT_NAMES), names)
    await forget_notes(connection, ids)


async def counts(engine: AsyncEngine, trail: Trail) -> Mapping[str, int]:
    """How many alerts name a customer, and how many verdicts these alerts have."""
    asked = {
        FRAUD_ALERTS.name: select(func.count(_NAMES.alert_id.distinct())).where(_named(trail)),
        FRAUD_VERDICTS.name: select(func.count()).where(
            _VERDICTS.alert_id.in_(select(_NAMES.alert_id).where(_named(trail)))
        ),
    }
    async with read_only(engine).connect() as connection:
        return {table: await connection.scalar(one) or 0 for table, one in asked.items()}


async def export(engine: AsyncEngine, trail: Trail) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """The alerts that name a customer, and their verdicts, as values for JSON.

    Other customers whom such an alert names are left out.
    """
    ids = select(_NAMES.alert_id).where(_named(trail))
    alerts = select(FRAUD_ALERTS).where(_ALERTS.alert_id.in_(ids)).order_by(_ALERTS.alert_id)
    verdicts = (
        select(FRAUD_VERDICTS).where(_VERDICTS.alert_id.in_(ids)).order_by(_VERDICTS.verdict_id)
    )
    async with read_only(engine).connect() as connection:
        found = (await connection.execute(alerts)).mappings().all()
        said = (await connection.execute(verdicts)).mappings().all()
    return {
        FRAUD_ALERTS.name: [_of_customer(as_json(row), trail) for row in found],
        FRAUD_VERDICTS.name: [as_json(row) for row in said],
    }


def _of_customer(row: Mapping[str, Any], trail: Trail) -> dict[str, Any]:
    alert = of_customer(stored_alert(row["document"]), trail)
    return {**row, "customer_id": alert.customer_id, "document": msgspec.to_builtins(alert)}


def _named(trail: Trail) -> ColumnElement[bool]:
    return or_(
        and_(_NAMES.kind == Kind.IDENTIFIER.value, _NAMES.name.in_(trail.identifiers)),
        and_(_NAMES.kind == Kind.ID.value, _NAMES.name.in_(trail.customer_ids)),
    )
