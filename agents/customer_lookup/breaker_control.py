"""The breaker of one worker as a control of the fleet, whatever its endpoint."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from agents.customer_lookup import PLUGIN
from agents.customer_lookup.lookup_ports import lookup_ports
from posstream.plugin import Control, ControlAction
from posstream.resilience.breaker import Breaker, State

if TYPE_CHECKING:
    from web.graphql.context import GraphQLContext

CONTROL: Final = "breaker"


def breaker_control(breaker: Callable[[], tuple[str, Breaker]]) -> Control:
    """The control of a breaker.

    Args:
        breaker: gives the endpoint in force, and the breaker for it.
    """

    def now() -> Breaker:
        return breaker()[1]

    # What is held already stays as it is: a new hold would drop the outcomes of calls in flight.
    def hold_open() -> None:
        if not (now().held and now().state is State.OPEN):
            now().open()

    def hold_closed() -> None:
        if not (now().held and now().state is State.CLOSED):
            now().close()

    def reset() -> None:
        if now().held:
            now().reset()

    return Control(
        name=CONTROL,
        state=lambda: breaker_words(now()),
        actions={
            "open": ControlAction("Hold open", "No call to the directory goes through.", hold_open),
            "close": ControlAction("Hold closed", "Every call goes through.", hold_closed),
            "reset": ControlAction("Automatic", "It goes by its rules again.", reset),
        },
    )


async def work_by_hand(context: "GraphQLContext", action: str, *, by: str) -> None:
    """Work the breaker of this worker at once, and note it for the fleet.

    Args:
        context: the ports of this worker.
        action: `open`, `close` or `reset`.
        by: who does it.
    """
    _, breaker = lookup_ports(context).breaker()
    getattr(breaker, action)()
    await context.controls.note(PLUGIN.name, CONTROL, action, by=by)


def breaker_words(breaker: Breaker) -> str:
    """The state of a breaker, in words."""
    by_hand = " (held by hand)" if breaker.held else ""
    return f"{breaker.state.name.lower().replace('_', ' ')}{by_hand}"
