"""Runs the plugins of one process beside the lookups, until it is told to stop."""

import asyncio
import os
import signal
import sys
import time
from dataclasses import replace
from typing import Final

import orjson

from posstream.configuration.configurations import Configurations
from posstream.configuration.topic import ConfigurationReader
from posstream.dead_letters.writer import DeadLetterWriter
from posstream.metrics import Metrics
from posstream.metrics_relay import counted, shown
from posstream.plugins.beside import BesideSetup
from posstream.plugins.found import Plugins
from posstream.plugins.supervisor import Supervisor
from posstream.plugins.workshop import Workshop
from posstream.processes.worker import Worker
from posstream.read_model.engine import create_engine
from posstream.read_model.reading import create_reading_engine
from posstream.resilience.clock import Clock
from posstream.resilience.tasks import stop_task
from posstream.startup.open_files import raise_open_files
from posstream.tracing.starting import start_tracing, stop_tracing

#: Between two looks at the plugins, and between two lines to the worker if nothing changes.
_LOOK_SECONDS: Final = 0.2
_TELL_SECONDS: Final = 1.0


def run(setup: BesideSetup, plugins: Plugins, worker: Worker) -> None:
    """Run the plugins until the worker says stop, or SIGTERM comes.

    Args:
        setup: what the worker says.
        plugins: those that were found here.
        worker: to be told how the plugins are.

    Raises:
        BrokerUnreachable: if the configurations cannot be read.
    """
    chosen = tuple(plugin for plugin in plugins if plugin.name in setup.plugins)
    failed = {name: why for name, why in plugins.failed.items() if name in setup.plugins}
    raise_open_files()
    start_tracing("plugins")
    try:
        asyncio.run(_run(setup, Plugins(chosen, failed), worker))
    finally:
        stop_tracing()


async def _run(setup: BesideSetup, plugins: Plugins, worker: Worker) -> None:
    settings, clock = replace(setup.settings, plugins=plugins), Clock()
    metrics = Metrics(plugins)
    engine = create_engine(settings.database_url)
    readers = create_reading_engine(engine)
    configurations = Configurations.of(settings, engine, clock)
    # The worker keeps the versions in the database.
    configuration_reader = ConfigurationReader(
        settings.bootstrap_servers, configurations.followers(metrics, stores=False)
    )
    dead_letter_writer = DeadLetterWriter(settings.bootstrap_servers)
    workshop = Workshop(
        settings=settings,
        clock=clock,
        metrics=metrics,
        configurations=configurations,
        engine=engine,
        readers=readers,
        dead_letter_writer=dead_letter_writer,
    )
    supervisor = Supervisor(
        plugins,
        make=workshop.make,
        prepare=setup.prepare,
        metrics=metrics,
        ends_alone=False,
    )
    stop = _told_to_stop(worker, supervisor)
    await configuration_reader.open(fetch_wait_ms=setup.tuning.rare_fetch_wait_ms)
    await supervisor.start()
    telling = asyncio.create_task(_tell(worker, supervisor, metrics))
    crash = asyncio.ensure_future(supervisor.wait_until_stopped())
    await asyncio.wait({stop, crash, telling}, return_when=asyncio.FIRST_COMPLETED)
    await supervisor.stop()
    await stop_task(telling)
    await dead_letter_writer.close()
    await configuration_reader.close()
    await readers.dispose()
    await engine.dispose()
    if supervisor.crashed:
        sys.exit(1)


def _told_to_stop(worker: Worker, supervisor: Supervisor) -> "asyncio.Future[None]":
    """Hear what the worker says; done once it says stop."""
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[None] = loop.create_future()

    def end() -> None:
        if not stop.done():
            stop.set_result(None)

    def hear(line: bytes) -> None:
        said = orjson.loads(line)
        if "refuse" in said:
            loop.call_soon_threadsafe(supervisor.refuse, *said["refuse"])
        else:
            loop.call_soon_threadsafe(end)

    worker.listen(hear, ended=lambda: os._exit(1))
    if sys.platform != "win32":
        loop.add_signal_handler(signal.SIGTERM, end)  # some stop all processes of a service
    return stop


async def _tell(worker: Worker, supervisor: Supervisor, metrics: Metrics) -> None:
    """Tell the worker how the plugins are: each second, and when that has changed."""
    summed = {
        "dead_letters": metrics.dead_letters,
        "dead_letters_refused": metrics.dead_letters_refused,
        "plugin_restarts": metrics.plugin_restarts,
    }
    before, told_at = None, 0.0
    while True:
        reports = supervisor.reports()
        if reports != before or time.monotonic() - told_at >= _TELL_SECONDS:
            before, told_at = reports, time.monotonic()
            worker.say(
                plugins=reports,
                figures=supervisor.figures(),
                metrics={it.name: shown(metrics.of(it)) for it in supervisor.plugins},
                counted={name: counted(counter) for name, counter in summed.items()},
            )
        await asyncio.sleep(_LOOK_SECONDS)
