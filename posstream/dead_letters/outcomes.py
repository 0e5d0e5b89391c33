"""Says whether a replay of a dead letter can succeed, and what came of it."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from posstream.dead_letters.letter import Address, Replay, ReplayState, Source
from posstream.dead_letters.part import Told
from posstream.domain.errors import UnreadableEvent
from posstream.kafka.counts import committed_offsets
from posstream.kafka.security import Brokers
from posstream.plugin import Plugin

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

log = logging.getLogger(__name__)


class Outcomes:
    """Asks plugins, brokers and the read model about replays.

    Args:
        brokers: host:port of each.
        card_guard: whether plugins refuse payment-card numbers.
        engine: the read model, which knows answers; None = answers are not looked for.
    """

    def __init__(
        self, brokers: Brokers, *, card_guard: bool, engine: "AsyncEngine | None" = None
    ) -> None:
        self._brokers = brokers
        self._card_guard = card_guard
        self._engine = engine

    def still_unreadable(self, plugin: Plugin, letter: Any, topic: str) -> str | None:
        """Why a plugin cannot read the message of a letter from its topic; None if it can now.

        Args:
            plugin: whose letter.
            letter: a record of the dead-letter topic.
            topic: where its message came from.
        """
        try:
            if plugin.replay is not None:
                plugin.replay.read(letter, topic, self._card_guard)
        except UnreadableEvent as why:
            return f"it still cannot be read ({why.reason})"
        except Exception as why:  # noqa: BLE001 - a plugin's own code, which failed before as well
            return f"it still cannot be read ({type(why).__name__})"
        return None

    async def of(
        self, plugin: Plugin, replayed: Mapping[Address, Any], again: Mapping[Source, Address]
    ) -> Mapping[Address, Replay]:
        """What came of the letters of a plugin that were replayed.

        Args:
            plugin: whose letters.
            replayed: letter -> the record that replays it.
            again: place of a message -> its dead letter.

        Raises:
            BrokerUnreachable: if no broker answers.
        """
        if not replayed:
            return {}
        told = {address: self._told(plugin, it) for address, it in replayed.items()}
        answers = await self._answers(plugin, [it for it in told.values() if it is not None])
        partitions = {(it.topic, it.partition) for it in replayed.values()}
        ends = await committed_offsets(self._brokers, plugin.consumer_group, partitions)
        found = {}
        for address, message in replayed.items():
            place, about = Source.of(message), told[address]
            answer = "" if about is None else answers.get(about.event_id, "")
            is_read = ends.get((place.topic, place.partition), 0) > place.offset
            found[address] = Replay(
                place,
                _state(is_again=place in again, is_answered=bool(answer), is_read=is_read),
                event_id=None if about is None else about.event_id,
                basket_id=None if about is None else about.basket_id,
                answer=answer,
                letter=again.get(place),
            )
        return found

    def _told(self, plugin: Plugin, message: Any) -> Told | None:
        """What a message is about; None if that cannot be read."""
        if plugin.replay is None:
            return None
        try:
            return plugin.replay.read(message, message.topic, self._card_guard)
        except Exception:  # noqa: BLE001 - a plugin may raise anything
            return None

    async def _answers(self, plugin: Plugin, told: Sequence[Told]) -> Mapping[str, str]:
        """The answers that the read model knows; none while the database is away."""
        ask = None if plugin.replay is None else plugin.replay.answers
        if ask is None or self._engine is None or not told:
            return {}
        try:
            return await ask(self._engine, told)
        except Exception as why:  # noqa: BLE001 - a plugin may raise anything
            log.warning("plugin %s: no answers to replays (%s)", plugin.name, type(why).__name__)
            return {}


def _state(*, is_again: bool, is_answered: bool, is_read: bool) -> ReplayState:
    if is_again:
        return ReplayState.FAILED_AGAIN
    if is_answered:
        return ReplayState.ANSWERED
    return ReplayState.READ if is_read else ReplayState.NOT_READ_YET
