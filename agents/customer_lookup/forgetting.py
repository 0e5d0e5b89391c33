"""What the customer lookup forgets and exports of a customer (rows: `read_model.erasure`)."""

from collections.abc import Sequence
from typing import Final

from agents.customer_lookup.cache_commands import Forget, ForgetCustomer
from agents.customer_lookup.deferred import deferred
from agents.customer_lookup.topics import HOLDING_CUSTOMERS
from posstream.forgetting.marks import Trail
from posstream.forgetting.part import ForgettingPart
from posstream.kafka.record import Record

_erasure: Final = deferred("read_model.customer_trail:CustomerTrails")
_commanded: Final = deferred("events.commands:commanded")


def cache_commands(trail: Trail, after_ms: int) -> Sequence[Record]:
    """The commands by which the owners of cache entries remove and mark a customer.

    The customer goes with the last command, the one for the given identifier: if we fail before
    that, SQL still knows which other identifiers there are.
    """
    commands: list[Forget | ForgetCustomer]
    if trail.identifiers:
        *others, last = trail.identifiers
        commands = [Forget(other, (), after_ms) for other in others]
        commands.append(Forget(last, trail.customer_ids, after_ms))
    else:
        commands = [ForgetCustomer(customer_id, after_ms) for customer_id in trail.customer_ids]
    return [record for command in commands for record in _commanded(command, 0)]


FORGETTING: Final = ForgettingPart(
    trail=lambda engine, identifier: _erasure(engine).trail(identifier),
    trail_of_customer=lambda engine, customer_id: _erasure(engine).trail_of_customer(customer_id),
    rows=lambda engine, trail: _erasure(engine).rows(trail),
    export=lambda engine, trail: _erasure(engine).export(trail),
    commands=cache_commands,
    holding=HOLDING_CUSTOMERS,
)
