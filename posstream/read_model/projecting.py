"""Runs every plugin's projection in one process, until it is told to stop.

That process is a child of a worker (`projection_child`), or the command `posstream project`. It
imports neither Faust nor the web view.
"""

import asyncio
import contextlib
import gc
import logging
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
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
from posstream.read_model.retention import Retention
from posstream.resilience.retry import growing_pauses
from posstream.resilience.tasks import stop_task
from posstream.startup.process import collect_garbage_rarely
from posstream.streaming import patches
from posstream.tracing.starting import start_tracing, stop_tracing

log = logging.getLogger(__name__)

#: Seconds between two calls of `tell`.
_TELL_SECONDS: Final = 1.0
#: How long one batch may take: longer than the patience of `BatchProjection`.
_HANGS_SECONDS: Final = 90
_HANGS: Final = f"its code has not come back for more than {_HANGS_SECONDS} s"
#: How long a stop waits for the thread of a projection.
_STOP_SECONDS: Final = 3

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
    #: Days that rows are kept; None = for ever.
    keep_rows_days: int | None = None


def run(setup: Setup, *, tell: Tell, watch: Watch | None = None) -> None:
    """Run the projections until SIGTERM, SIGINT, or until `watch` ends them.

    Args:
        setup: what to project, from where, into which database.
        tell: called every second with how far each projection is.
        watch: called once with a function that ends the projections, from any thread.

    Raises:
        DatabaseUnusable, DatabaseAway: if the database refuses us; one that is away for now is
            waited for.
        StartRefused: if two plugins claim one table; both are named.
    """
    gc.freeze()  # what was imported stays
    collect_garbage_rarely()
    patches.install()  # a foreign record's header name may be no UTF-8
    start_tracing("projections")
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_until_stopped(setup, tell, watch))
    finally:
        stop_tracing()


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
    running: list[asyncio.Task[None]] = []
    try:
        failures = await _open_database(setup.database_url, plugins, standings)
        for one in projections([_unmigrated(it) if it.name in failures else it for it in plugins]):
            if one.name in failures:
                standings[one.name].trouble = failures[one.name]
                continue
            running.append(asyncio.create_task(_run_apart(one, setup, standings[one.name])))
        migrated = [it for it in plugins if it.name not in failures]
        running += [
            asyncio.create_task(_keep_up(setup.database_url, it.name, it.read_model.upkeep))
            for it in migrated
            if it.read_model is not None and it.read_model.upkeep is not None
        ]
        if setup.keep_rows_days is not None:
            keep = timedelta(days=setup.keep_rows_days)
            running.append(asyncio.create_task(_retain(setup.database_url, migrated, keep)))
        await asyncio.Event().wait()
    finally:
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        await stop_task(telling)


async def _open_database(
    url: str, plugins: Sequence[Plugin], standings: Standings
) -> Mapping[str, str]:
    """Migrate; wait for a database that is away. Returns why each failed plugin failed."""
    pauses, told = growing_pauses(), ""
    while True:
        engine = create_engine(url)
        try:
            failures = await upgrade(engine, plugins)
        except Exception as why:
            away = absence(why)
            if away is None or not away.passes:
                raise
            if told != str(away):
                log.warning("the database is away (%s): the read model waits", away)
            told = str(away)
            for standing in standings.values():
                standing.trouble = str(away)
        else:
            if told:
                log.warning("the database is back: the read model goes on")
            return failures
        finally:
            await engine.dispose()
        await asyncio.sleep(next(pauses))


def _unmigrated(plugin: Plugin) -> Plugin:
    """A plugin whose migration failed: its rows are erased by the migration that succeeds.

    If another worker has run that migration, marks wait here until this worker starts again.
    """
    chain = chains([plugin])[plugin.name]

    async def erase(connection: AsyncConnection, _: Marks) -> None:
        if not await connection.run_sync(chain.is_behind):
            raise DatabaseUnusable(f"another worker has migrated {plugin.name}: start again")

    part = plugin.read_model
    return replace(plugin, read_model=part and replace(part, erase=erase))


async def _retain(url: str, plugins: Sequence[Plugin], keep: timedelta) -> None:
    parts = [it.read_model for it in plugins if it.read_model is not None]
    aging = {
        table: times for it in parts if it.aging is not None for table, times in it.aging().items()
    }
    engine = create_engine(url)
    try:
        await Retention(engine, aging, keep).run()
    finally:
        await engine.dispose()


async def _keep_up(url: str, name: str, upkeep: Callable[[AsyncEngine], Awaitable[None]]) -> None:
    engine = create_engine(url)
    try:
        await upkeep(engine)
    except Exception:
        log.exception("the upkeep of the tables of %s failed, and stops until the next start", name)
    finally:
        await engine.dispose()


async def _run_apart(grouped: GroupedProjection, setup: Setup, standing: Standing) -> None:
    """Run one projection in a thread with a loop of its own: code that blocks holds up no other."""
    here, ended = asyncio.get_running_loop(), asyncio.Event()
    runner = asyncio.Runner(loop_factory=_loop_factory())
    task = runner.get_loop().create_task(_run(grouped, setup, standing))

    def work() -> None:
        try:
            with runner, contextlib.suppress(asyncio.CancelledError):
                runner.get_loop().run_until_complete(task)
        finally:
            with contextlib.suppress(RuntimeError):  # nobody waits for it any more
                here.call_soon_threadsafe(ended.set)

    threading.Thread(target=work, name=f"projection of {grouped.name}", daemon=True).start()
    try:
        await ended.wait()
        standing.trouble = "its thread has ended"
        log.error("the projection of %s ends: %s", grouped.name, standing.trouble)
    except asyncio.CancelledError:
        with contextlib.suppress(RuntimeError, TimeoutError):
            runner.get_loop().call_soon_threadsafe(task.cancel)
            async with asyncio.timeout(_STOP_SECONDS):
                await ended.wait()
        raise


async def _run(grouped: GroupedProjection, setup: Setup, standing: Standing) -> None:
    """Run one projection until cancelled; one that ends does not end the others."""
    engine = create_engine(setup.database_url, bulk=True)
    try:
        await Projector(grouped, grouped.make(engine), setup.group, standing).run()
    except (Exception, SystemExit) as why:
        standing.trouble = kind(why)
        log.exception("the projection of %s cannot be made", grouped.name)
        await asyncio.Event().wait()  # it stays named with this reason
    finally:
        await engine.dispose()


async def _tell(standings: Standings, tell: Tell) -> None:
    hanging = frozenset[str]()
    while True:
        told = {}
        for name, standing in standings.items():
            since = standing.applies_since
            hangs = since is not None and time.monotonic() - since > _HANGS_SECONDS
            if hangs and name not in hanging:
                log.error("the projection of %s hangs: %s", name, _HANGS)
            hanging = hanging | {name} if hangs else hanging - {name}
            told[name] = replace(standing, trouble=_HANGS) if hangs else standing
        tell(told)
        await asyncio.sleep(_TELL_SECONDS)
