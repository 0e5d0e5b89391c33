"""What is wrong on a worker: findings, worst first, each with what to do next. Pure.

`/health/ready`, the banner of the console's overview and the fleet's heartbeat show the same ones.
A finding quotes no identifier and no secret: everybody who may probe a worker reads it.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct


class Severity(StrEnum):
    """How bad it is; the worst one first."""

    #: Tills, or people who look something up, notice it now.
    CRITICAL = "CRITICAL"
    #: Nobody notices it yet, or it is on purpose; it should not stay so.
    WARNING = "WARNING"
    #: Worth a look. The worker does all of its work: it is not degraded.
    NOTE = "NOTE"


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that is wrong at one moment. A child process sends it to the worker as JSON."""

    #: Stable, for programs: upper case with `_`.
    code: str
    severity: Severity = Severity.WARNING
    #: What is wrong, without a full stop.
    sentence: str
    #: What to do next, without a full stop; empty = the sentence says it.
    next_step: str = ""
    #: The console's page where that is done; empty = it is not done in the console.
    link: str = ""
    #: The part in trouble: a plugin's name, `broker`, `database`, `projections`, `worker`.
    part: str = ""


WORKER_STOPPING: Final = "WORKER_STOPPING"
PLUGIN_NOT_READY: Final = "PLUGIN_NOT_READY"
PLUGIN_RESTARTING: Final = "PLUGIN_RESTARTING"
PLUGIN_FAILED: Final = "PLUGIN_FAILED"
PLUGIN_OFF: Final = "PLUGIN_OFF"
#: What a plugin says in a sentence of its own.
PLUGIN_WARNING: Final = "PLUGIN_WARNING"
BROKER_AWAY: Final = "BROKER_AWAY"
BROKER_MISSING: Final = "BROKER_MISSING"
DATABASE_AWAY: Final = "DATABASE_AWAY"
PROJECTION_WAITS: Final = "PROJECTION_WAITS"
PROJECTION_LATE: Final = "PROJECTION_LATE"
LAG: Final = "LAG"
EVENTS_STAND_STILL: Final = "EVENTS_STAND_STILL"
TRANSACTION_HANGS: Final = "TRANSACTION_HANGS"
WORKER_LOST: Final = "WORKER_LOST"
PARTITIONS_MISFIT: Final = "PARTITIONS_MISFIT"
DEAD_LETTERS_FLOOD: Final = "DEAD_LETTERS_FLOOD"
DEAD_LETTERS: Final = "DEAD_LETTERS"

#: What the platform looks at on each worker, in words.
LOOKED_AT: Final = (
    "the plugins",
    "the broker",
    "the database",
    "the projections",
    "events that wait",
    "the other workers",
    "dead letters of the last hour",
)

_LETTERS: Final = "/dead-letters"
#: The platform's findings: how bad each is, what to do next, and where in the console; `{part}` in
#: a link is the part in trouble.
KNOWN: Final = {
    WORKER_STOPPING: (Severity.CRITICAL, "Another worker takes over: check that one runs", ""),
    PLUGIN_NOT_READY: (
        Severity.CRITICAL,
        "Wait a moment; if it stays so, read the worker's log",
        "",
    ),
    PLUGIN_FAILED: (
        Severity.CRITICAL,
        "Read the worker's log, repair the cause, and start the worker again",
        "",
    ),
    BROKER_AWAY: (Severity.CRITICAL, "Check that the brokers run and can be reached", ""),
    DATABASE_AWAY: (
        Severity.CRITICAL,
        "Check that the database runs and can be reached; no row is lost",
        "",
    ),
    EVENTS_STAND_STILL: (Severity.CRITICAL, "Read the worker's log for what they wait for", ""),
    DEAD_LETTERS_FLOOD: (
        Severity.CRITICAL,
        "Look at the dead letters, and repair the producer",
        _LETTERS,
    ),
    PLUGIN_RESTARTING: (Severity.WARNING, "Read the worker's log for why it ended", ""),
    PLUGIN_OFF: (
        Severity.WARNING,
        "Switch it on, unless it is off on purpose",
        "/configuration/plugin/{part}",
    ),
    PLUGIN_WARNING: (Severity.WARNING, "", ""),
    BROKER_MISSING: (Severity.WARNING, "Start the broker again", ""),
    PROJECTION_WAITS: (
        Severity.WARNING,
        "Repair the cause; tills are answered, and the rows follow by themselves",
        "",
    ),
    PROJECTION_LATE: (
        Severity.WARNING,
        "Wait if the number falls; if it grows, look at the load of the database",
        "",
    ),
    LAG: (
        Severity.WARNING,
        "Wait if the number falls; if it grows, start a worker, or find what is slow",
        "",
    ),
    TRANSACTION_HANGS: (Severity.WARNING, "Stop or repair that producer", ""),
    WORKER_LOST: (Severity.WARNING, "Start it again", "/fleet"),
    PARTITIONS_MISFIT: (Severity.WARNING, "", ""),
    DEAD_LETTERS: (
        Severity.NOTE,
        "Find out why, repair the producer, and replay them",
        _LETTERS,
    ),
}


def found(code: str, sentence: str, part: str = "") -> Finding:
    """A finding of the platform.

    Args:
        code: one of `KNOWN`.
        sentence: what is wrong now.
        part: what is in trouble.
    """
    severity, next_step, link = KNOWN[code]
    return Finding(
        code=code,
        severity=severity,
        sentence=sentence,
        next_step=next_step,
        link=link.format(part=part),
        part=part,
    )


def worst_first(findings: Iterable[Finding]) -> Sequence[Finding]:
    """The findings by severity; those of one severity stay in their order."""
    order = list(Severity)
    return sorted(findings, key=lambda it: order.index(it.severity))


def codes(findings: Iterable[Finding]) -> Sequence[str]:
    """The codes of findings in their order, each once."""
    return list(dict.fromkeys(it.code for it in findings))
