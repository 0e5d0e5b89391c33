"""The exceptions of posstream: those on which the caller can act.

    PosstreamError
    ├── InvalidSettings      the environment; one line per wrong setting
    ├── InvalidConfiguration the live configuration; names the key
    ├── UnreadableEvent      a message that cannot be an event; goes to the dead letters
    ├── StartRefused         the worker must not start; the message says what to do
    ├── BrokerUnreachable    a command or a subscriber finds no broker
    ├── DatabaseUnusable     a command finds no database
    ├── DatabaseAway         the database cannot be used now; the message gives its reason
    ├── ReadModelBusy        the read model has no time for a query
    ├── WorkerUnreachable    a command finds no worker
    ├── GrowthRefused        topics cannot be given more partitions now
    ├── StorageFailed        a store on disk takes nothing more, or was thrown away
    │   └── TakesNothingNow  a part of a table is frozen, or moves to another worker
    ├── TooManySubscribers   a worker shows its answers to no more subscribers
    ├── SubscriberTooSlow    a subscriber leaves too many answers waiting
    ├── Stalled              events wait, and the worker stands still
    ├── PluginFailed         a plugin's own code fails at too many events
    └── PublishFailed        the broker did not acknowledge an event

An unknown customer, a dead API and a refused identifier are not among them: they are answers.
"""

from enum import StrEnum


class PosstreamError(Exception):
    """Any error of posstream's own."""


class InvalidSettings(PosstreamError):
    """Settings that cannot be used. `errors` has one line for each."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


class InvalidConfiguration(PosstreamError, ValueError):
    """A live configuration that is refused; the old version stays in force.

    A ValueError, so that msgspec adds the place where a check in a nested struct raises it.
    """

    def __init__(self, key: str, why: str) -> None:
        super().__init__(f"{key}: {why}")
        self.key = key
        self.why = why


class DeadLetterReason(StrEnum):
    """Why a message was set aside."""

    TOMBSTONE = "TOMBSTONE"
    EMPTY = "EMPTY"
    TOO_LARGE = "TOO_LARGE"
    NOT_UTF8 = "NOT_UTF8"
    NOT_JSON = "NOT_JSON"
    NOT_AN_OBJECT = "NOT_AN_OBJECT"
    MISSING_FIELD = "MISSING_FIELD"
    INVALID_FIELD = "INVALID_FIELD"
    #: The plugin's own code raised on the message.
    PLUGIN_FAILED = "PLUGIN_FAILED"


class StorageFailed(PosstreamError):
    """A store on this worker's disk takes nothing more, or was thrown away."""


class TakesNothingNow(StorageFailed):
    """A part of a table is frozen (`topics grow`), or moves: its events wait, or come elsewhere."""


class UnreadableEvent(PosstreamError):
    """A message that is no event of its topic; the message names the field."""

    def __init__(self, reason: DeadLetterReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class StartRefused(PosstreamError):
    """The worker must not start. The message says what is wrong and what to do about it."""


class BrokerUnreachable(PosstreamError):
    """No broker answers. The message says where it was looked for."""


class DatabaseUnusable(PosstreamError):
    """The database does not answer or is not ours. The message says what to check."""


class DatabaseAway(PosstreamError):
    """The database cannot be used now. The message is the database's own reason.

    Args:
        reason: the database's words, and its code for them; it names no password.
        passes: waiting may help. Else the database refuses us until an operator changes something.
    """

    def __init__(self, reason: str, *, passes: bool) -> None:
        super().__init__(reason)
        self.passes = passes


class ReadModelBusy(PosstreamError):
    """The read model has no time for this. The message says what to do, and is for the caller."""


class GrowthRefused(PosstreamError):
    """Topics cannot be given more partitions, or not now. The message says what to do."""


class WorkerUnreachable(PosstreamError):
    """No worker answers. The message says where it was looked for."""


class Stalled(PosstreamError):
    """Events wait, and the worker stands still."""


class PluginFailed(PosstreamError):
    """A plugin's own code fails at too many events: the plugin stays stopped."""


class PublishFailed(PosstreamError):
    """The broker did not acknowledge an event."""


class TooManySubscribers(PosstreamError):
    """The worker has as many subscribers as it may have; it takes no more."""


class SubscriberTooSlow(PosstreamError):
    """A subscriber does not take its answers; it gets no more."""
