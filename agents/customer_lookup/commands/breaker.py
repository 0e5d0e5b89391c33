"""`posstream breaker`: see a worker's circuit breaker, or work it by hand."""

import click

from posstream.commands.running import JSON_OPTION, print_json, read_settings, run
from posstream.commands.worker import ask_worker
from posstream.settings import Settings

_SHOWN = "breaker { endpoint state held }"


@click.command("breaker")
@click.argument("action", required=False, type=click.Choice(["open", "close", "reset"]))
@JSON_OPTION
def command(action: str | None, *, as_json: bool) -> None:
    """Show the circuit breaker of the worker at this machine's web view, or work it by hand.

    open lets no call to the directory through, close lets all through whatever fails, and reset
    goes by the rules again. It is this worker's breaker only; each worker has its own.
    """
    run(breaker(read_settings(), action, as_json=as_json))


async def breaker(settings: Settings, action: str | None, *, as_json: bool = False) -> int:
    """Ask the worker at the settings' web view; print the breaker as it is then.

    Raises:
        WorkerUnreachable: if no worker answers there.
    """
    query = f"{{ {_SHOWN} }}"
    if action is not None:
        query = f"mutation {{ controlBreaker(action: {action.upper()}) {{ {_SHOWN} }} }}"
    data = await ask_worker(settings, query)
    shown = data["breaker"] if action is None else data["controlBreaker"]["breaker"]
    if as_json:
        print_json(shown)
        return 0
    by_hand = " (held by hand)" if shown["held"] else ""
    print(f"{shown['state'].lower().replace('_', ' ')}{by_hand}: {shown['endpoint']}")
    return 0
