"""`posstream check`: is everything there that a worker needs? Nothing is changed."""

import contextlib
from collections.abc import AsyncIterator

from sqlalchemy.exc import SQLAlchemyError

from agents.customer_lookup.commands.check_directory import Line, check_directory
from posstream.configuration.store import SqlConfigurationStore
from posstream.domain.errors import PosstreamError
from posstream.read_model.asking import ask
from posstream.read_model.engine import create_engine
from posstream.settings import Settings, unknown_settings
from posstream.startup.membership import Membership
from posstream.startup.preflight import Passed, Start, outcomes


async def check(settings: Settings, identifier: str) -> int:
    """Print the outcome of each step of a start, and of one call to the directory.

    Returns:
        0 if a worker could start and everything would answer it, 1 otherwise.
    """
    passed = True
    for warning in unknown_settings():
        print(f"warning  {warning}")
    async for good, line in _lines(settings, identifier):
        passed = passed and good
        print(f"{'ok' if good else 'FAILED':8} {line}")
    return 0 if passed else 1


async def _lines(settings: Settings, identifier: str) -> AsyncIterator[Line]:
    yield True, "settings"
    start = Start(
        settings=settings,
        membership=Membership(settings.datadir),
        web=(settings.web_host, settings.web_port),
        beside_worker=True,
        patience_seconds=0,
    )
    async for outcome in outcomes(start):
        yield isinstance(outcome, Passed), outcome.line
    for line in await check_directory(settings, identifier, await _live_endpoint(settings)):
        yield line


async def _live_endpoint(settings: Settings) -> str | None:
    """The endpoint of the live configuration, if the database has one."""
    # The step for the read model has reported the database's errors.
    with contextlib.suppress(SQLAlchemyError, PosstreamError):
        engine = create_engine(settings.database_url)
        try:
            if not await ask(engine):
                return None
            config = (await SqlConfigurationStore(engine, "customer_lookup").latest()).config
        finally:
            await engine.dispose()
        endpoint = config.get("api_endpoint")
        return None if endpoint is None else str(endpoint)
    return None
