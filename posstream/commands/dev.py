"""`posstream dev`: embedded broker, worker and web view in the foreground, until Ctrl-C."""

import contextlib
import gc
import logging
import shutil
from collections.abc import Iterator, Sequence

import click

from posstream.commands.running import errors_told, read_settings
from posstream.kafka.embedded_broker import EmbeddedBroker
from posstream.logs.setup import JSON, set_up, tell_warning
from posstream.plugin import Plugin
from posstream.plugins.beside_child import spawn_beside
from posstream.settings import Settings, asked_log_format, unknown_settings

log = logging.getLogger(__name__)


@click.command("dev")
@click.option(
    "-l",
    "--loglevel",
    default="warning",
    show_default=True,
    type=click.Choice(["debug", "info", "warning", "error"]),
)
def command(loglevel: str) -> None:
    """Run everything in the foreground until Ctrl-C.

    Starts an embedded, memory-only broker (unless POSSTREAM_BROKER names yours), a worker and
    the web view, and prints their addresses. Made for first steps and tests, not for production:
    topics are forgotten at the end; the read model in POSSTREAM_DATADIR stays.
    """
    if asked_log_format() == JSON:
        set_up(JSON)
    for warning in unknown_settings():
        tell_warning(warning)
    settings = read_settings()
    spawned = spawn_beside(settings.plugins)
    gc.disable()  # as in `posstream.app`
    from posstream.factory import create_app
    from posstream.streaming import patches
    from posstream.streaming.app import install_event_loop

    with errors_told():
        install_event_loop()
        patches.install()
        app = create_app(settings, spawned=spawned)
        app.membership.claim()  # before its tables are deleted
        with _broker(settings) as where:
            app.task(lambda: _announce(settings, where))
            app.finalize()
            gc.freeze()
            gc.enable()
            worker = app.Worker(loglevel=loglevel, redirect_stdouts=False)
            worker.execute_from_commandline()


@contextlib.contextmanager
def _broker(settings: Settings) -> Iterator[str]:
    if settings.broker is not None:
        yield f"{settings.broker} (yours, from POSSTREAM_BROKER)"
        return
    broker = EmbeddedBroker(
        settings.dev_broker_port, log_file=settings.datadir / "embedded-broker.log"
    )
    broker.start()
    # The broker forgets all when it stops: tables that remembered more would be wrong.
    shutil.rmtree(settings.datadir / "tables", ignore_errors=True)
    try:
        yield f"kafka://{broker.address} (embedded, in memory)"
    finally:
        broker.stop()


def _addresses(plugin: Plugin, settings: Settings) -> Sequence[tuple[str, str]]:
    try:
        return [] if plugin.addresses is None else plugin.addresses(settings)
    except Exception:
        log.exception("plugin %s cannot say its addresses", plugin.name)
        return []


async def _announce(settings: Settings, broker: str) -> None:
    addresses = [
        ("Console", f"{settings.web_url}/"),
        ("GraphQL", f"{settings.web_url}/graphql/"),
        *(address for plugin in settings.plugins for address in _addresses(plugin, settings)),
        ("Health", f"{settings.web_url}/health/ready"),
        ("Broker", broker),
        ("Data", str(settings.datadir)),
    ]
    listed = "\n".join(f"  {title:9}  {address}" for title, address in addresses)
    print(f"\nposstream is ready\n{listed}\nCtrl-C ends it.\n", flush=True)
