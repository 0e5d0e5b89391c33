"""What the toy's GraphQL and pages ask of its table."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from .rows import VISITS


class Visits:
    """The rows of `toy_visits`, read."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def of_customer(self, customer_id: str) -> int:
        """How many answers a customer had."""
        asked = select(func.count()).where(VISITS.c.customer_id == customer_id)
        async with self._engine.connect() as connection:
            return int(await connection.scalar(asked) or 0)

    async def newest(self, limit: int) -> Sequence[Any]:
        """The newest rows, newest first."""
        asked = select(VISITS).order_by(VISITS.c.counted_at.desc()).limit(limit)
        async with self._engine.connect() as connection:
            return (await connection.execute(asked)).mappings().all()
