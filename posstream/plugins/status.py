"""The state of each plugin on this worker, as the supervisor tells it to the web view."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from posstream.domain.errors import PosstreamError
from posstream.findings import Finding
from posstream.plugin import Built


class PluginState(StrEnum):
    """Whether a plugin works on this worker."""

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginStatus:
    """One plugin at one moment."""

    name: str
    state: PluginState
    #: Why it has failed: a sentence; empty otherwise.
    reason: str = ""
    #: Events that wait for a plugin that has failed; None while that is not known.
    lag: int | None = None
    #: What it built; None once it has failed.
    built: Built | None = None
    #: What is wrong while it runs.
    findings: Callable[[], Sequence[Finding]] = field(default=tuple, compare=False)

    @property
    def told(self) -> str:
        """A sentence for people: why the plugin has failed, and how many events wait."""
        return self.reason if self.lag is None else f"{self.reason}; {self.lag:,} events wait"


class PluginUnavailable(PosstreamError):
    """A plugin does not answer on this worker: it has failed, or is still starting."""

    def __init__(self, status: PluginStatus) -> None:
        why = f"has failed: {status.reason}" if status.reason else f"is {status.state.lower()}"
        super().__init__(f"the plugin {status.name} {why}")
        self.status = status

    @property
    def code(self) -> str:
        """The code of the refusal: `PLUGIN_FAILED` or `PLUGIN_STARTING`."""
        return f"PLUGIN_{self.status.state}"
