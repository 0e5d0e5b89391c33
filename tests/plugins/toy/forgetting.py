"""What the toy forgets and exports of a customer. SQLAlchemy is imported when it is used."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from posstream.forgetting.marks import Trail
from posstream.forgetting.part import ForgettingPart

from .topics import TOPICS

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


async def _rows(engine: "AsyncEngine", trail: Trail) -> Sequence[Mapping[str, Any]]:
    from sqlalchemy import or_, select

    from .rows import VISITS

    asked = select(VISITS).where(
        or_(
            VISITS.c.customer_identifier.in_(trail.identifiers),
            VISITS.c.customer_id.in_(trail.customer_ids),
        )
    )
    async with engine.connect() as connection:
        return [dict(row) for row in (await connection.execute(asked)).mappings()]


async def _trail(engine: "AsyncEngine", identifier: str) -> Trail:
    rows = await _rows(engine, Trail((identifier,)))
    return Trail((identifier,), tuple({row["customer_id"] for row in rows}))


async def _trail_of_customer(engine: "AsyncEngine", customer_id: str) -> Trail:
    rows = await _rows(engine, Trail((), (customer_id,)))
    return Trail(tuple({row["customer_identifier"] for row in rows}), (customer_id,))


async def _counts(engine: "AsyncEngine", trail: Trail) -> Mapping[str, int]:
    return {"toy_visits": len(await _rows(engine, trail))}


async def _export(engine: "AsyncEngine", trail: Trail) -> Mapping[str, Any]:
    return {
        "visits": [
            {"basket_id": row["basket_id"], "visits": row["visits"]}
            for row in await _rows(engine, trail)
        ]
    }


FORGETTING: Final = ForgettingPart(
    trail=_trail,
    trail_of_customer=_trail_of_customer,
    rows=_counts,
    export=_export,
    holding=TOPICS,
)
