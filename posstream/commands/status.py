"""`posstream status`: all workers of the cluster, from their heartbeats on the broker."""

import sys
from collections.abc import Iterator, Sequence

import click

from posstream.commands.running import (
    JSON_OPTION,
    print_json,
    print_table,
    read_settings,
    run,
    tell_broker,
)
from posstream.domain.printable import printable
from posstream.findings import WORKER_LOST
from posstream.fleet.asking import ask_workers
from posstream.fleet.fleet import Member, name_of, span
from posstream.resilience.clock import Clock
from posstream.settings import Settings

_HEAD = (
    "worker",
    "state",
    "version",
    "up",
    "partitions",
    "lag",
    "configuration",
    "controls",
    "seen",
)


@click.command("status")
@JSON_OPTION
def command(*, as_json: bool) -> None:
    """Show every worker: version, partitions, lag, configuration, breaker, age, last seen.

    Reads only the broker. Exits with 1 if a worker is lost, if something is wrong on one, or if
    there is none.
    """
    run(status(read_settings(), Clock(), as_json=as_json))


async def status(settings: Settings, clock: Clock, *, as_json: bool = False) -> int:
    """Print the workers and what is wrong on them.

    Returns:
        0 if all is well, else 1.

    Raises:
        BrokerUnreachable: if no broker answers.
    """
    tell_broker(settings)
    members = await ask_workers(settings.bootstrap_servers, clock)
    wrong = [*_wrong(members)]
    if as_json:
        print_json({"is_well": not wrong, "workers": [_document(it) for it in members]})
    elif members:
        print_table(_HEAD, [_row(it, clock.now_ms()) for it in members])
    for sentence in wrong if not as_json else ():
        print(sentence, file=sys.stdout if members else sys.stderr)
    return 1 if wrong else 0


def _wrong(members: Sequence[Member]) -> Iterator[str]:
    """A sentence for each worker on which something is wrong."""
    if not members:
        yield "error: no worker runs on this broker, and none was lost within a day: start one"
    for it in members:
        codes = [printable(code) for code in it.beat.findings if code != WORKER_LOST]
        if it.is_lost:
            yield f"{name_of(it.beat)} is lost: start it again"
        elif codes:
            yield f"{name_of(it.beat)} says {', '.join(codes)}: its overview says what to do"


def _row(member: Member, now_ms: int) -> Sequence[str]:
    beat = member.beat
    versions = [f"{name} {version}" for name, version in beat.configurations.items() if version]
    return [
        name_of(beat),
        _state(member),
        printable(beat.version),
        "-" if member.is_lost else span(max(0, now_ms - beat.started_at_ms) / 1000),
        f"{beat.partitions:,}",
        f"{beat.lag:,}",
        printable(", ".join(versions)) or "defaults",
        printable(", ".join(f"{it.name} {it.state}" for it in beat.controls)) or "-",
        f"{span(member.silent_seconds)} ago",
    ]


def _state(member: Member) -> str:
    return "lost" if member.is_lost else "runs"


def _document(member: Member) -> dict[str, object]:
    return {
        **member.beat.document(),
        "state": _state(member),
        "silent_seconds": round(member.silent_seconds, 1),
    }
