"""What the plugin forgets and exports of a customer (rows: `read_model.erasure`)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from agents.baskets.topics import HOLDING_CUSTOMERS
from posstream.forgetting.part import ForgettingPart

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from posstream.forgetting.marks import Trail


async def _trail(engine: "AsyncEngine", identifier: str) -> "Trail":
    from agents.baskets.read_model.erasure import trail_of

    return await trail_of(engine, identifier)


async def _trail_of_customer(engine: "AsyncEngine", customer_id: str) -> "Trail":
    from agents.baskets.read_model.erasure import trail_of_customer

    return await trail_of_customer(engine, customer_id)


async def _rows(engine: "AsyncEngine", trail: "Trail") -> Mapping[str, int]:
    from agents.baskets.read_model.erasure import counts

    return await counts(engine, trail)


async def _export(engine: "AsyncEngine", trail: "Trail") -> Mapping[str, Any]:
    from agents.baskets.read_model.erasure import export

    return await export(engine, trail)


FORGETTING: Final = ForgettingPart(
    trail=_trail,
    trail_of_customer=_trail_of_customer,
    rows=_rows,
    export=_export,
    holding=HOLDING_CUSTOMERS,
)
