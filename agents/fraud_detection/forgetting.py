"""What the plugin forgets and exports of a customer.

Rows: `read_model.erasure`. The table of observations on each worker: `forgotten_customers`, and
`exporting_groups`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from agents.fraud_detection.topics import HOLDING_CUSTOMERS
from posstream.forgetting.marks import Trail
from posstream.forgetting.part import ForgettingPart

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from posstream.kafka.security import Brokers


async def _trail(_: "AsyncEngine", identifier: str) -> Trail:
    # An alert names several customers, and does not tell which names belong together.
    return Trail((identifier,))


async def _trail_of_customer(_: "AsyncEngine", customer_id: str) -> Trail:
    return Trail((), (customer_id,))


async def _rows(engine: "AsyncEngine", trail: Trail) -> Mapping[str, int]:
    from agents.fraud_detection.read_model.erasure import counts

    return await counts(engine, trail)


async def _export(engine: "AsyncEngine", trail: Trail) -> Mapping[str, Any]:
    from agents.fraud_detection.read_model.erasure import export

    return await export(engine, trail)


async def _kept(brokers: "Brokers", trail: Trail) -> Mapping[str, Any]:
    from agents.fraud_detection.exporting_groups import export_observations

    return await export_observations(brokers, trail)


FORGETTING: Final = ForgettingPart(
    trail=_trail,
    trail_of_customer=_trail_of_customer,
    rows=_rows,
    export=_export,
    kept=_kept,
    holding=HOLDING_CUSTOMERS,
)
