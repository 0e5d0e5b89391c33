"""Checks what a worker needs before it starts: the steps of a start and of `posstream check`.

Each step asks and changes nothing, so a start that is refused has changed nothing either.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from posstream.domain.errors import DatabaseAway, DatabaseUnusable, StartRefused
from posstream.kafka.preflight import PATIENCE_SECONDS, check_reader, prepare_topics
from posstream.read_model.asking import ask
from posstream.read_model.engine import create_engine
from posstream.read_model.projections import projections
from posstream.read_model.refusals import absence, kind
from posstream.settings import WORKER, Settings
from posstream.startup.membership import Membership
from posstream.startup.port_in_use import no_port

#: How long the database may take to answer. If it does not, the worker starts without it.
_DATABASE_SECONDS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What the steps need to know of a start."""

    settings: Settings
    membership: Membership
    #: Host and port of the web view; None = the worker has none.
    web: tuple[str, int] | None
    #: Whether another worker may use the same data directory and port (`posstream check`).
    beside_worker: bool = False
    #: How long the broker may take to come up.
    patience_seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one step found, as a line for people."""

    line: str


class Passed(Outcome):
    """The step found what a worker needs."""


class Waits(Outcome):
    """The step misses something for now: a worker starts and waits for it."""


class Refusal(Outcome):
    """The step lets no worker start: the server's own reason, and what to do."""


#: One check before a start.
Step = Callable[[Start], Awaitable[Outcome]]


async def check_start(start: Start) -> None:
    """Run the steps until one refuses the start.

    Raises:
        StartRefused: with the sentence of that step.
    """
    async for outcome in outcomes(start):
        if isinstance(outcome, Refusal):
            raise StartRefused(outcome.line)


async def check_projecting(
    settings: Settings, *, patience_seconds: float = PATIENCE_SECONDS
) -> str:
    """Check what `posstream project` needs: the right to read from the broker, and the database.

    Returns:
        the cluster's id.

    Raises:
        StartRefused: with the sentence that a worker would give.
    """
    grouped = projections(settings.plugins)
    cluster = await check_reader(
        settings.bootstrap_servers,
        list(dict.fromkeys(topic for it in grouped for topic in it.topics)),
        _projection_groups(settings),
        patience_seconds=patience_seconds,
    )
    outcome = await _read_model_of(settings)
    if isinstance(outcome, Refusal):
        raise StartRefused(outcome.line)
    return cluster


async def outcomes(start: Start) -> AsyncIterator[Outcome]:
    """What each step found, in their order."""
    for step in STEPS:
        yield await step(start)


def unusable(why: BaseException) -> str:
    """The sentence for a read model that refuses us."""
    told = why if isinstance(why, DatabaseUnusable) else absence(why)
    return f"the read model cannot be opened ({told or kind(why)}): check POSSTREAM_DATABASE_URL"


async def _data_directory(start: Start) -> Outcome:
    try:
        taken = start.membership.ask(beside_worker=start.beside_worker)
    except StartRefused as why:
        return Refusal(str(why))
    used = ", which a running worker uses" if taken else ""
    return Passed(f"data directory {start.settings.datadir}{used}")


async def _web_port(start: Start) -> Outcome:
    if start.web is None:
        return Passed("no web view")
    host, port = start.web
    with contextlib.suppress(StartRefused):  # the step for the data directory has reported it
        if start.membership.ask(beside_worker=start.beside_worker):
            return Passed(f"port {port} on {host}, of the running worker")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, kind_, protocol, _, address in found:
            with socket.socket(family, kind_, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
    except OSError as why:
        return Refusal(no_port(host, port, why))
    return Passed(f"port {port} on {host}")


async def _broker(start: Start) -> Outcome:
    settings = start.settings
    try:
        _, missing = await prepare_topics(
            settings.bootstrap_servers,
            settings.plugins.topics,
            tables=settings.plugins.tables,
            partitions=settings.topic_partitions,
            replication=settings.topic_replication,
            patience_seconds=start.patience_seconds,
            groups=_consumer_groups(settings),
            only_ask=True,
        )
    except StartRefused as why:
        return Refusal(str(why))
    where = ", ".join(settings.bootstrap_servers)
    return Passed(f"broker at {where}; {len(missing)} topics to be created at the first start")


def _consumer_groups(settings: Settings) -> Sequence[str]:
    """The groups that a worker joins, and those whose offsets its projections go on at."""
    groups = [it.consumer_group for it in settings.plugins if it.consumes]
    if settings.projection == WORKER:
        groups += _projection_groups(settings)
    return list(dict.fromkeys(groups))


def _projection_groups(settings: Settings) -> Sequence[str]:
    grouped = projections(settings.plugins)
    return [group for it in grouped for group in (it.group, it.former_group) if group is not None]


async def _read_model(start: Start) -> Outcome:
    return await _read_model_of(start.settings)


async def _read_model_of(settings: Settings) -> Outcome:
    try:
        engine = create_engine(settings.database_url)
    except DatabaseUnusable as why:
        return Refusal(str(why))
    name = engine.dialect.name
    try:
        async with asyncio.timeout(_DATABASE_SECONDS):
            there = await ask(engine, settings.plugins)
    except DatabaseUnusable as why:
        return Refusal(unusable(why))
    except (DatabaseAway, TimeoutError) as why:
        away = absence(why)
        if away is not None and away.passes:
            return Waits(f"read model on {name}: it is away ({away}); see POSSTREAM_DATABASE_URL")
        return Refusal(unusable(why))
    finally:
        await engine.dispose()
    return Passed(f"read model on {name}{'' if there else ', to be made at the first start'}")


STEPS: Final[Sequence[Step]] = (_data_directory, _web_port, _broker, _read_model)
