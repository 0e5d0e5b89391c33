"""`posstream project`: run the projections in this process, apart from any worker."""

import asyncio
import logging
import socket

import click
from sqlalchemy.exc import SQLAlchemyError

from posstream.commands.running import errors_told, read_settings
from posstream.domain.errors import DatabaseAway, DatabaseUnusable, StartRefused
from posstream.kafka.tuning import tuning_for
from posstream.logs.setup import set_up, tell_warning
from posstream.plugins.discovery import find_plugins
from posstream.read_model.projecting import Setup, Standings, Tell, run
from posstream.read_model.projector import GroupSettings, Standing
from posstream.settings import Settings, unknown_settings
from posstream.startup.preflight import check_projecting, unusable

log = logging.getLogger(__name__)


@click.command("project")
def command() -> None:
    """Write the topics into the read model, in this process instead of a worker's.

    For a machine of its own: set POSSTREAM_PROJECTION=alone for the workers. Several share the
    work. Ends with 0 at SIGTERM or Ctrl-C; the next one writes what is
    left. Before it begins, it checks broker and database as a worker's start does. Exits with 1,
    and a sentence, if one of them refuses it.
    """
    settings = read_settings()
    set_up(settings.log_format, level=logging.INFO, worker=socket.gethostname())
    for warning in unknown_settings():
        tell_warning(warning)
    with errors_told():
        _project(settings)


def _project(settings: Settings) -> None:
    cluster = asyncio.run(check_projecting(settings))
    tuning = tuning_for(cluster, settings.session_timeout_seconds)
    setup = Setup(
        # A name needs a data directory that outlives the process.
        group=GroupSettings(servers=settings.bootstrap_servers, member=None, tuning=tuning),
        database_url=settings.database_url,
        plugins=[plugin.name for plugin in find_plugins()],
        keep_rows_days=settings.keep_rows_days,
    )
    log.info("projecting into %s", settings.database_url.partition("://")[0])
    try:
        run(setup, tell=_changes_told())
    except (DatabaseUnusable, DatabaseAway, SQLAlchemyError) as why:
        raise StartRefused(unusable(why)) from why
    log.info("ended")


def _changes_told() -> Tell:
    """Logs when a projection has caught up, falls behind, or has to wait."""
    before: dict[str, str] = {}

    def tell(standings: Standings) -> None:
        for name, standing in standings.items():
            words = standing.trouble or _words(standing)
            if before.get(name) != words:
                before[name] = words
                log.info("%s: %s (%d written)", name, words, standing.written)

    return tell


def _words(standing: Standing) -> str:
    if not standing.has_partitions:
        return "has no partitions yet"
    return "behind" if standing.lag else "up to date"
