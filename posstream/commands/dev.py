"""`posstream dev`: embedded broker, worker and web view in the foreground, until Ctrl-C."""

import contextlib
import logging
import shutil
from collections.abc import Iterator

from agents.customer_lookup.directory.mock import points_at_mock
from agents.customer_lookup.settings import MOCK_PATH, LookupSettings
from posstream.factory import create_app
from posstream.kafka.embedded_broker import EmbeddedBroker
from posstream.settings import Settings
from posstream.streaming import patches
from posstream.streaming.app import install_event_loop
from posstream.streaming.host import HostApp


def run(settings: Settings, loglevel: str) -> None:
    """Run until a signal. Ends by SystemExit with the worker's exit code.

    Raises:
        StartRefused: if another worker has the data directory, or the broker cannot be started.
    """
    install_event_loop()
    patches.install()
    app = create_app(settings)
    app.membership.claim()  # before its tables are deleted
    with _broker(settings) as where:
        app.task(lambda: _announce(settings, where))
        _execute(app, loglevel)


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


def _execute(app: HostApp, loglevel: str) -> None:
    app.finalize()
    worker = app.Worker(loglevel=loglevel, redirect_stdouts=False)
    worker.spinner = None
    logging.captureWarnings(capture=True)
    worker.execute_from_commandline()


async def _announce(settings: Settings, broker: str) -> None:
    print(
        f"""
posstream is ready
  GraphQL    {settings.web_url}/graphql/
  {_directory(settings)}
  Health     {settings.web_url}/health/ready
  Broker     {broker}
  Data       {settings.datadir}
Ctrl-C ends it.
""",
        flush=True,
    )


def _directory(settings: Settings) -> str:
    own = LookupSettings.of(settings)
    served = own.mock_directory
    if served is None:
        served = points_at_mock(own.api_endpoint, settings.web_port)
    if served:
        return f"Mock API   {settings.web_url}{MOCK_PATH}+1234567890/"
    return f"Directory  {own.api_endpoint}"
