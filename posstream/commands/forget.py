"""`posstream forget`: erase one customer, and say what was removed where and what is left."""

import sys

import aiokafka

from agents.customer_lookup.read_model.erasure import SqlErasure
from agents.customer_lookup.topics import CACHE_COMMANDS
from posstream.commands.database import opened
from posstream.commands.terminal import print_table
from posstream.domain.identifier import Identifier
from posstream.domain.times import iso_utc_ms
from posstream.forgetting.forgetting import CustomerForgetting, ForgetReport, Unconfirmed
from posstream.kafka.answering import answering
from posstream.kafka.partition_counts import partitions_of
from posstream.kafka.record import Record
from posstream.kafka.topics import CUSTOMER_FORGOTTEN
from posstream.settings import Settings

_DAY_MS = 86_400_000


async def forget(settings: Settings, identifier: Identifier, wait_seconds: float) -> int:
    """Forget the customer of an identifier and print the report.

    Returns:
        0 when all is done, 1 if no worker confirmed it in time or none ever ran on this broker.

    Raises:
        BrokerUnreachable: if no broker answers, or it does not acknowledge; do it again.
        DatabaseUnusable: likewise.
    """
    servers = settings.bootstrap_servers
    needed = (CACHE_COMMANDS, CUSTOMER_FORGOTTEN)
    if len(await partitions_of(servers, needed)) < len(needed):
        print("nothing to forget: no worker of this version ever ran on this broker")
        return 1
    with answering(servers):
        async with aiokafka.AIOKafkaProducer(bootstrap_servers=servers, acks="all") as producer:

            async def publish(record: Record) -> None:
                with answering(servers):
                    await producer.send_and_wait(record.topic, record.value, key=record.key)

            async with opened(settings) as engine:
                outcome = await CustomerForgetting(
                    erasure=SqlErasure(engine), publish=publish
                ).forget(identifier.value, patience_seconds=wait_seconds)
    if isinstance(outcome, Unconfirmed):
        print(f"error: {outcome.why}", file=sys.stderr)
        return 1
    _print(identifier, outcome)
    return 0


def _print(identifier: Identifier, report: ForgetReport) -> None:
    print(f"forgotten at {iso_utc_ms(report.forgotten_at_ms)}: {identifier.masked}")
    print(f"identifiers: {report.identifiers}")
    print(f"cache entries removed: {report.cache_entries}")
    print_table(
        ("TABLE", "ROWS REMOVED"), [(table, str(count)) for table, count in report.rows.items()]
    )
    if report.newer_rows:
        print(f"rows of scans since then: {report.newer_rows}")
    print("\nNo one can take single events out of a topic. These still hold the customer's, until:")
    print_table(
        ("TOPIC", "RETENTION", "UNTIL"),
        [
            (it.topic, f"{it.retention_ms // _DAY_MS} days", iso_utc_ms(it.until_ms))
            for it in report.topics
        ],
    )
    print(
        "That is as posstream makes its topics; yours may keep them longer. They are not replayed"
        " into\nthe read model. Left to you: the customer directory (the next scan asks it again),"
        " whatever else\nreads these topics, backups of the database, and workers' data"
        " directories that are switched off."
    )
