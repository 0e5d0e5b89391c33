"""The users of the secured Kafka: one with the rights of the docs, others that miss one."""

import shlex
from pathlib import Path
from typing import Final

from tests.servers import secured
from tests.servers.secured import Acl

POSSTREAM: Final = "posstream"
_PAGE: Final = Path(__file__).parents[3] / "docs/how-to/secure-the-broker.md"

#: User -> what is denied to them, and how a refused start says it.
MISSING: Final = {
    "no-write": (
        Acl("no-write", secured.TOPIC, "pos-events", secured.WRITE, secured.DENY),
        "Write on topic pos-events",
    ),
    "no-read": (
        Acl("no-read", secured.TOPIC, "pos-events", secured.READ, secured.DENY),
        "Read on topic pos-events",
    ),
    "no-settings": (
        Acl("no-settings", secured.TOPIC, "pos-events", secured.DESCRIBE_CONFIGS, secured.DENY),
        "DescribeConfigs on topic pos-events",
    ),
    "no-create": (
        Acl("no-create", secured.TOPIC, "pos-events", secured.CREATE, secured.DENY),
        "Create on topic pos-events",
    ),
    "no-topic": (
        Acl("no-topic", secured.TOPIC, "pos-events", secured.ALL, secured.DENY),
        "Read, Write and DescribeConfigs on topic pos-events",
    ),
    "no-group": (
        Acl("no-group", secured.GROUP, "posstream-baskets", secured.READ, secured.DENY),
        "Read on group posstream-baskets",
    ),
    "no-answers": (
        Acl("no-answers", secured.TOPIC, "customer-data-fetched", secured.READ, secured.DENY),
        "Read on topic customer-data-fetched",
    ),
    "no-rows": (
        Acl("no-rows", secured.GROUP, "posstream-baskets-projection", secured.READ, secured.DENY),
        "Read on group posstream-baskets-projection",
    ),
}
#: Those of them who miss what `posstream project` needs.
NOT_PROJECTING: Final = ("no-answers", "no-rows")
FORBIDDEN_USERS: Final = tuple(MISSING)
#: Measures: has every right, for its topics have any names.
BENCHMARKS: Final = "benchmarks"
FORBIDDEN: Final = [
    acl
    for user, (denied, _) in MISSING.items()
    for acl in (Acl(user, secured.TOPIC, "*"), Acl(user, secured.GROUP, "*"), denied)
] + [Acl(BENCHMARKS, kind, "*") for kind in (secured.TOPIC, secured.GROUP)]


def documented() -> list[list[str]]:
    """The arguments of each `kafka-acls.sh` of the page."""
    blocks = _PAGE.read_text().split("```sh\n")[1:]
    commands = [shlex.split(block.partition("```")[0].replace("\\\n", "")) for block in blocks]
    return [arguments for program, *arguments in commands if program == "kafka-acls.sh"]
