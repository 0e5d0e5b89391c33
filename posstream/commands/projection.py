"""`posstream projection`: make the read model's rows once more from what the topics have."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import islice
from typing import Final

import click
from sqlalchemy.exc import SQLAlchemyError

from posstream.commands.database import opened
from posstream.commands.group import CommandGroup
from posstream.commands.progress import Progress
from posstream.commands.running import print_table, read_settings, runs
from posstream.domain.errors import DatabaseAway
from posstream.kafka.reader import GrouplessReader, topic_reader
from posstream.kafka.tuning import MAX_BATCH_BYTES
from posstream.plugins.discovery import find_plugins
from posstream.read_model.projection import Decoders, ProjectedEvent, Projection
from posstream.read_model.projections import projections
from posstream.read_model.projector import projected, weight
from posstream.read_model.tables import ReadModelTables
from posstream.resilience.retry import growing_pauses

#: Pauses between tries of one batch, some 20 s in all: a worker may hold a lock that long.
_PAUSES: Final = 7
#: Events in a transaction: a worker beside this command must get its turn in a SQLite file.
_MOST: Final = 4_000


@click.group("projection", cls=CommandGroup)
def command() -> None:
    """Work on the read model: the tables in SQL that GraphQL reads."""


@command.command("rebuild")
@click.option("--drop", is_flag=True, help="Start from empty tables, to make every row anew.")
@click.option(
    "--yes", is_flag=True, help="Drop rows although the topics cannot bring all of them back."
)
@runs
async def _rebuild(*, drop: bool, yes: bool) -> int:
    """Replay the topics into the read model: rows that are missing come back.

    Without --drop no row is lost, and one that is as new as its events stays as it is. Workers may
    go on meanwhile. If it is interrupted, run it again. It leaves the live configuration alone.
    Exits with 1 if it is refused, or without a broker or database.
    """
    # A worker may write the same rows meanwhile: of two events for one row the same one wins, in
    # either order. With `drop` the topics' ends are read after the rows are deleted: rows that a
    # worker wrote before are replayed, and rows that it writes later stay.
    settings = read_settings()
    started = time.monotonic()
    plugins = find_plugins()
    parts = [it.read_model for it in plugins if it.read_model is not None]
    projecting = projections(plugins)
    topics = list(dict.fromkeys(topic for it in projecting for topic in it.topics))
    # The broker first, so that errors of the database are not taken for the broker's.
    async with (
        topic_reader(settings.bootstrap_servers, *topics) as reader,
        opened(settings, to_write=True) as engine,
    ):
        tables = ReadModelTables(engine, parts)
        replayed = [(it.make(engine), it.topics) for it in projecting]
        before = await tables.counts()
        if drop:
            decoders = {
                topic: decode for one, _ in replayed for topic, decode in one.decoders.items()
            }
            losses = await _losses(reader, topics, tables, before, decoders)
            for loss in losses:
                print(loss)
            if losses and not yes:
                print(
                    "error: nothing was dropped. --yes drops all the same; without --drop the "
                    "topics are replayed and no row is lost",
                    file=sys.stderr,
                )
                return 1
            await tables.empty()
        total = sum([await _size(reader, topics) for _, topics in replayed])
        with Progress(total, "events replayed") as progress:
            count = await _replay(reader, replayed, progress)
        after = await tables.counts()
    print(f"replayed {count} events in {time.monotonic() - started:.1f} s")
    print_table(
        ("TABLE", "BEFORE", "AFTER"),
        [(name, str(before[name]), str(after[name])) for name in before],
    )
    return 0


async def _losses(
    reader: GrouplessReader,
    topics: Sequence[str],
    tables: ReadModelTables,
    before: Mapping[str, int],
    decoders: Decoders,
) -> Sequence[str]:
    """A sentence for each topic that has lost records, and each table that would lose rows."""
    losses = []
    for topic in topics:
        gone = sum((await reader.first_offsets(topic)).values())
        if gone:
            losses.append(
                f"{topic}: its first {gone} records are gone; facts that only they had would be "
                "lost"
            )
    with Progress(await _size(reader, topics), "events compared") as progress:
        lost = await tables.unaccounted(_batches(reader, topics, progress, decoders))
    losses.extend(
        f"{name}: {rows} of {before[name]} rows would be lost, no topic has their events any more"
        for name, rows in lost.items()
        if rows
    )
    return losses


async def _size(reader: GrouplessReader, topics: Sequence[str]) -> int:
    """How many records topics have, at most: offsets have gaps."""
    size = 0
    for topic in topics:
        first, end = await reader.first_offsets(topic), await reader.end_offsets(topic)
        size += sum(end.values()) - sum(first.values())
    return size


async def _replay(
    reader: GrouplessReader,
    replayed: Sequence[tuple[Projection, Sequence[str]]],
    progress: Progress,
) -> int:
    count = 0
    for projection, topics in replayed:
        async for batch in _batches(reader, topics, progress, projection.decoders):
            await _apply(projection, batch)
            count += len(batch)
    return count


async def _apply(projection: Projection, batch: Sequence[ProjectedEvent]) -> None:
    for pause in islice(growing_pauses(), _PAUSES):
        try:
            await projection.apply(batch)
        except (SQLAlchemyError, DatabaseAway, OSError):
            await asyncio.sleep(pause)
        else:
            return
    await projection.apply(batch)


async def _batches(
    reader: GrouplessReader, topics: Sequence[str], progress: Progress, decoders: Decoders
) -> AsyncIterator[Sequence[ProjectedEvent]]:
    """All records that the topics have now, in batches."""
    batch: list[ProjectedEvent] = []
    read = size = 0
    for topic in topics:
        async for message in reader.records(topic):
            read += 1
            size += weight(message, decoders)
            event = projected(message, decoders)
            if event is not None:
                batch.append(event)
            if len(batch) < _MOST and size < MAX_BATCH_BYTES:
                continue
            yield batch
            progress.step(read)
            read, size, batch = 0, 0, []
    if batch:
        yield batch
