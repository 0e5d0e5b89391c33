"""Runs every plugin's projection in one process, until it is told to stop.

That process is a child of a worker (`projection_child`), or the command `posstream project`. It
imports neither Faust nor the web view.
"""

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from posstream.domain.errors import DatabaseUnusable
from posstream.forgetting.marks import Marks
from posstream.plugin import Plugin
from posstream.plugins.discovery import find_plugins
from posstream.read_model.engine import create_engine
from posstream.read_model.migrate import chains, upgrade
from posstream.read_model.projections import GroupedProjection, projections
from posstream.read_model.projector import GroupSettings, Projector, Standing
from posstream.read_model.refusals import absence, kind
from posstream.resilience.retry import growing_pauses
from posstream.resilience.tasks import stop_task
from posstream.streaming import patches

log = logging.getLogger(__name__)

#: Seconds between two calls of `tell`.
_TELL_SECONDS: Final = 1.0

#: How far each projection is, by its name.
Standings = Mapping[str, Standing]
Tell = Callable[[Standings], None]
Watch = Callable[[Callable[[], object]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What the projections need to know: broker, database, plugins. A child gets this as JSON."""

    group: GroupSettings
    database_url: str
    #: The names of the plugins whose projections run.
    plugins: Sequence[str]


def run(setup: Setup, *, tell: Tell, watch: Watch | None = None) -> None:
    """Run the projections until SIGTERM, SIGINT, or until `watch` ends them.

    Args:
        setup: what to project, from where, into which database.
        tell: called every second with how far each projection is.
        watch: called once with a function that ends the projections, from any thread.

    Raises:
        DatabaseUnusable, DatabaseAway: if the database refuses us; one that is away for now is
            waited for.
    """
    patches.install()  # a foreign record's header name may be no UTF-8
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_until_stopped(setup, tell, watch))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return loop


async def _until_stopped(setup: Setup, tell: Tell, watch: Watch | None) -> None:
    loop = asyncio.get_running_loop()
    projecting = loop.create_task(project(setup, tell))
    if sys.platform != "win32":
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, projecting.cancel)
    if watch is not None:
        watch(lambda: loop.call_soon_threadsafe(projecting.cancel))
    await asyncio.wait([projecting])
    if not projecting.cancelled():
        projecting.result()


async def project(setup: Setup, tell: Tell) -> None:
    """Run the projections until cancelled; see `run`."""
    plugins = [plugin for plugin in find_plugins() if plugin.name in setup.plugins]
    grouped = projections(plugins)
    standings = {it.name: Standing() for it in grouped}
    telling = asyncio.create_task(_tell(standings, tell))
    engine = create_engine(setup.database_url)
    running: list[asyncio.Task[None]] = []
    try:
        failures = await _open_database(engine, plugins, standings)
        for one in projections([_unmigrated(it) if it.name in failures else it for it in plugins]):
            if one.name in failures:
                standings[one.name].trouble = failures[one.name]
                continue
            running.append(asyncio.create_task(_run(one, engine, setup, standings[one.name])))
        await asyncio.Event().wait()
    finally:
        for task in running:
            await stop_task(task)
        await engine.dispose()
        await stop_task(telling)


async def _open_database(
    engine: AsyncEngine, plugins: Sequence[Plugin], standings: Standings
) -> Mapping[str, str]:
    """Migrate; wait for a database that is away. Returns why each failed plugin failed."""
    pauses = growing_pauses()
    while True:
        try:
            return await upgrade(engine, plugins)
        except Exception as why:
            away = absence(why)
            if away is None or not away.passes:
                raise
            log.warning("the database is away (%s): the read model waits", away)
            for standing in standings.values():
                standing.trouble = str(away)
            await asyncio.sleep(next(pauses))


def _unmigrated(plugin: Plugin) -> Plugin:
    """A plugin whose migration failed: its rows are erased by the migration that succeeds.

    If another worker has run that migration, marks wait here until this worker starts again.
    """
    chain = chains([plugin])[plugin.name]

    async def erase(connection: AsyncConnection, _: Marks) -> None:
        if await connection.run_sync(chain.revision) == chain.head:
            raise DatabaseUnusable(f"another worker has migrated {plugin.name}: start again")

    part = plugin.read_model
    return replace(plugin, read_model=part and replace(part, erase=erase))


async def _run(
    grouped: GroupedProjection, engine: AsyncEngine, setup: Setup, standing: Standing
) -> None:
    """Run one projection; one that cannot be made does not end the others."""
    try:
        projection = grouped.make(engine)
    except (Exception, SystemExit) as why:
        standing.trouble = kind(why)
        log.exception("the projection of %s cannot be made", grouped.name)
        return
    await Projector(grouped, projection, setup.group, standing).run()


async def _tell(standings: Standings, tell: Tell) -> None:
    while True:
        tell(standings)
        await asyncio.sleep(_TELL_SECONDS)
