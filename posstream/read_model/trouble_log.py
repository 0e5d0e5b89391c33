"""Tells in the log that a projection cannot write, and that it can again."""

import logging
import time

from posstream.read_model.refusals import absence, kind

log = logging.getLogger(__name__)


class TroubleLog:
    """The lines of one batch of events that the read model does not take at once.

    Args:
        plugin: whose projection it is.
    """

    def __init__(self, plugin: str) -> None:
        self._about = {"plugin": plugin}
        self._plugin = plugin
        #: What was told last; None before the first trouble.
        self._told: str | None = None
        self._since = time.monotonic()

    def failed(self, why: BaseException, count: int) -> None:
        """Tell a trouble, unless it is the one that was told last."""
        told = str(absence(why) or kind(why))  # quotes no row
        if told != self._told:
            log.warning(
                "the read model did not take %d events of %s (%s); it tries again",
                count,
                self._plugin,
                told,
                exc_info=log.isEnabledFor(logging.DEBUG),
                extra=self._about,
            )
        self._told = told

    def ended(self) -> None:
        """Tell that the events are written, if there was a trouble."""
        if self._told is not None:
            seconds = time.monotonic() - self._since
            said = "the read model takes events of %s again, after %.0f s"
            log.warning(said, self._plugin, seconds, extra=self._about)
