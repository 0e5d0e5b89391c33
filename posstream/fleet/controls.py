"""What operators work by hand on one worker or on all of them, such as a breaker. No I/O.

A topic keeps the newest `Word` for one worker and for all; the later one counts. A `Word`
holds over a restart of the worker or the plugin for a day: later nobody remembers why.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from posstream.domain.errors import PublishFailed
from posstream.domain.printable import printable
from posstream.domain.times import iso_utc_ms, parse_utc, to_ms
from posstream.fleet.heartbeat import farewell
from posstream.kafka.record import Record
from posstream.kafka.topics import CONTROLS
from posstream.plugin import Built, Control
from posstream.resilience.clock import Clock

log = logging.getLogger(__name__)

#: The worker of a word that is for all of them.
EVERY_WORKER: Final = "*"
_HOLDS_MS: Final = 86_400_000
#: How many seconds a change of a control outside the fleet waits for the broker.
_NOTE_SECONDS: Final = 3.0

_Text = Annotated[str, Meta(min_length=1, max_length=256)]


class Word(Struct, frozen=True, kw_only=True):
    """What an operator wants done with a control: the record on the topic."""

    plugin: _Text
    control: _Text
    action: _Text
    #: A worker's name, or `EVERY_WORKER`.
    worker: _Text
    by: _Text
    at: str

    @property
    def at_ms(self) -> int:
        """When it was said: ms since 1970."""
        at = parse_utc(self.at)
        return 0 if at is None else to_ms(at)


@dataclass(frozen=True, slots=True)
class OfferedControl:
    """A control of a plugin that runs on this worker."""

    plugin: str
    control: Control


class Controls:
    """The controls of one worker: follows what is said to it, and says things to all.

    Args:
        running: what each plugin in this process built.
        publish: writes a record and waits for the broker; raises PublishFailed.
        clock: time.
    """

    def __init__(
        self,
        running: Callable[[], Mapping[str, Built]],
        *,
        publish: Callable[[Record], Awaitable[None]],
        clock: Clock,
    ) -> None:
        self._running = running
        self._publish = publish
        self._clock = clock
        #: The name of this worker.
        self.here = ""
        #: By plugin and control: the last word for this worker.
        self._words: dict[tuple[str, str], Word] = {}
        #: The same: the control for which it was done. A plugin that starts again has a new one.
        self._done: dict[tuple[str, str], tuple[Control, Word]] = {}

    @property
    def offered(self) -> Sequence[OfferedControl]:
        """What can be worked by hand."""
        return [
            OfferedControl(plugin, control)
            for plugin, built in sorted(self._running().items())
            for control in built.controls
        ]

    async def say(self, offered: OfferedControl, action: str, *, worker: str, by: str) -> None:
        """Have something done; each worker that is meant follows within a second or two.

        Args:
            offered: the control.
            action: one of its actions.
            worker: a worker's name, or `EVERY_WORKER`.
            by: who says so.

        Raises:
            PublishFailed: if the broker did not take it.
        """
        await self._tell(self._word(offered, action, worker=worker, by=by))

    async def dismiss(self, worker: str) -> None:
        """Say for a worker that it has stopped; one that runs is seen again within seconds.

        Raises:
            PublishFailed: if the broker did not take it.
        """
        await self._publish(farewell(worker))

    async def note(self, plugin: str, control: str, action: str, *, by: str) -> None:
        """Note what was just done on this worker in another way, so that it holds as said here.

        If the broker does not take it in time, a restart does what was said before.

        Args:
            plugin: whose control.
            control: its name.
            action: what was done.
            by: who did it.
        """
        for it in self.offered:
            if (it.plugin, it.control.name) == (plugin, control):
                word = self._word(it, action, worker=self.here, by=by)
                self._words[plugin, control] = word
                self._done[plugin, control] = (it.control, word)
                try:
                    async with asyncio.timeout(_NOTE_SECONDS):
                        await self._tell(word)
                except (PublishFailed, TimeoutError):
                    log.warning(
                        "%s of %s is not kept over a restart, as the broker did not take it: %s",
                        control,
                        plugin,
                        action,
                    )

    def _word(self, offered: OfferedControl, action: str, *, worker: str, by: str) -> Word:
        return Word(
            plugin=offered.plugin,
            control=offered.control.name,
            action=action,
            worker=worker,
            by=by,
            at=iso_utc_ms(self._clock.now_ms()),
        )

    async def _tell(self, word: Word) -> None:
        key = f"{word.plugin}/{word.control}/{word.worker}".encode()
        await self._publish(Record(CONTROLS, key, msgspec.json.encode(word), partition=0))

    def take(self, value: bytes | None) -> None:
        """Follow a record of the topic; then call `look`."""
        if value is None:
            return
        try:
            word = msgspec.json.decode(value, type=Word)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            log.warning("skipped a record of the controls: it is not usable")
            return
        if word.worker in {EVERY_WORKER, self.here}:
            self._words[word.plugin, word.control] = word

    def look(self) -> None:
        """Do what was said and is not done; call this often."""
        for it in self.offered:
            key = (it.plugin, it.control.name)
            word = self._words.get(key)
            if word is None or self._clock.now_ms() - word.at_ms > _HOLDS_MS:
                continue
            done = self._done.get(key)
            if done is None or done[0] is not it.control or done[1] != word:
                self._done[key] = (it.control, word)
                self._do(it, word)

    def _do(self, offered: OfferedControl, word: Word) -> None:
        action = offered.control.actions.get(word.action)
        told = f"{word.control} of {word.plugin}: {printable(word.action)}"
        about = {"plugin": word.plugin}
        if action is None:
            log.warning("%s cannot be done: there is no such action", told, extra=about)
            return
        log.warning("%s, by %s", told, printable(word.by), extra=about)
        try:
            action.do()
        except Exception:  # a plugin's own code
            log.exception("%s has failed", told, extra=about)
