"""`posstream check`: is everything there that a worker needs? Nothing is changed."""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import click

from posstream.commands.running import JSON_OPTION, print_json, read_settings, run
from posstream.domain.errors import PosstreamError
from posstream.plugin import CheckLine, Plugin
from posstream.plugins.discovery import find_plugins
from posstream.settings import Settings, unknown_settings


@click.command("check")
@click.option(
    "--identifier",
    default="+1234567890",
    show_default=True,
    help="The customer to ask the directory for, once.",
)
@JSON_OPTION
def command(identifier: str, *, as_json: bool) -> None:
    """Check settings, broker, read model and directory; change nothing.

    Exits with 1 if a worker could not start or not answer.
    """
    run(check(read_settings(), identifier, as_json=as_json))


async def check(settings: Settings, identifier: str, *, as_json: bool = False) -> int:
    """Print the outcome of each step of a start, and of each plugin's own check.

    Returns:
        0 if a worker could start and everything would answer it, 1 otherwise.
    """
    warnings = unknown_settings()
    if as_json:
        lines = [{"ok": good, "line": line} async for good, line in _lines(settings, identifier)]
        passed = all(it["ok"] for it in lines)
        print_json({"ok": passed, "warnings": warnings, "lines": lines})
        return 0 if passed else 1
    for warning in warnings:
        print(f"warning  {warning}")
    return await report(_lines(settings, identifier))


async def report(lines: AsyncIterator[CheckLine]) -> int:
    """Print lines as they come; 0 if all are good, else 1."""
    passed = True
    async for good, line in lines:
        passed = passed and good
        print(f"{'ok' if good else 'FAILED':8} {line}")
    return 0 if passed else 1


async def _lines(settings: Settings, identifier: str) -> AsyncIterator[CheckLine]:
    from posstream.startup.membership import Membership
    from posstream.startup.preflight import Passed, Start, outcomes

    yield True, "settings"
    for name, why in settings.plugins.failed.items():
        yield False, f"the plugin {name} cannot be loaded ({why!r})"
    start = Start(
        settings=settings,
        membership=Membership(settings.datadir),
        web=(settings.web_host, settings.web_port),
        beside_worker=True,
        patience_seconds=0,
    )
    async for outcome in outcomes(start):
        yield isinstance(outcome, Passed), outcome.line
    for plugin in find_plugins():
        for line in await _of_plugin(plugin, settings, identifier):
            yield line


async def _of_plugin(plugin: Plugin, settings: Settings, identifier: str) -> Sequence[CheckLine]:
    """What a plugin found, or why it found nothing: it takes no other plugin's lines away."""
    if plugin.check is None:
        return []
    try:
        return await plugin.check(settings, identifier, await _live(settings, plugin.name))
    except (Exception, SystemExit) as why:  # noqa: BLE001 - a plugin may raise anything
        return [(False, f"the check of {plugin.name} failed ({type(why).__name__})")]


async def _live(settings: Settings, plugin: str) -> Mapping[str, Any]:
    """The live configuration of a plugin as the database has it; empty without one."""
    from sqlalchemy.exc import SQLAlchemyError

    from posstream.configuration.store import SqlConfigurationStore
    from posstream.read_model.asking import ask
    from posstream.read_model.engine import create_engine

    # The step for the read model has reported the database's errors.
    with contextlib.suppress(SQLAlchemyError, PosstreamError):
        engine = create_engine(settings.database_url)
        try:
            if await ask(engine, find_plugins()):
                return (await SqlConfigurationStore(engine, plugin).latest()).config
        finally:
            await engine.dispose()
    return {}
