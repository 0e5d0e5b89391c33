"""Keeps what alerts show of their verdicts: the newest, and notes without forgotten customers."""

from collections.abc import Collection, Sequence

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from agents.fraud_detection.read_model.schema import FRAUD_ALERTS, FRAUD_VERDICTS
from posstream.read_model.named_rows import SLICE, update_rows

_ALERTS = FRAUD_ALERTS.c
_VERDICTS = FRAUD_VERDICTS.c


async def judge(connection: AsyncConnection, alert_ids: Collection[str]) -> Sequence[str]:
    """Give alerts the status of their newest verdict; most have none, and stay open.

    Returns:
        Those that have a verdict.
    """
    place = func.row_number().over(
        partition_by=_VERDICTS.alert_id,
        order_by=(_VERDICTS.at.desc(), _VERDICTS.verdict_id.desc()),
    )
    judged: list[str] = []
    ordered = sorted(alert_ids)
    for start in range(0, len(ordered), SLICE):
        asked = (
            select(_VERDICTS.alert_id, _VERDICTS.verdict_id, _VERDICTS.verdict, place.label("n"))
            .where(_VERDICTS.alert_id.in_(ordered[start : start + SLICE]))
            .subquery()
        )
        newest = (
            await connection.execute(
                select(asked.c.alert_id, asked.c.verdict_id, asked.c.verdict)
                .where(asked.c.n == 1)
                .order_by(asked.c.alert_id)
            )
        ).mappings()
        rows = [
            {"of": it["alert_id"], "status": it["verdict"], "verdict_id": it["verdict_id"]}
            for it in newest
        ]
        await update_rows(connection, _ALERTS.alert_id, ("status", "verdict_id"), rows)
        judged += [row["of"] for row in rows]
    return judged


async def forget_notes(connection: AsyncConnection, alert_ids: Sequence[str]) -> None:
    """Take out the notes from before a customer of their alert was forgotten.

    A note is free text, and may name the customer.
    """
    forgotten_at = (
        select(_ALERTS.forgotten_at).where(_ALERTS.alert_id == _VERDICTS.alert_id).scalar_subquery()
    )
    for start in range(0, len(alert_ids), SLICE):
        await connection.execute(
            update(FRAUD_VERDICTS)
            .where(
                _VERDICTS.alert_id.in_(alert_ids[start : start + SLICE]),
                _VERDICTS.note.is_not(None),
                _VERDICTS.at <= forgotten_at,
            )
            .values(note=None)
        )
